//! The exit status of a pod that is asked to stop.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use engine::docker::DockerEngine;
use pod::observed::StateUpdate;

/// How long the engine may take to say what it holds of a pod that is asked to stop.
const ASKED: Duration = Duration::from_millis(400);

/// The status of a pod that is asked to stop. Swarm stops what its health check calls unhealthy, also where it never came
/// up, and takes a task that ends with 0 then for complete: nothing would come in its place.
pub(crate) async fn status_of_stop(engine: &DockerEngine, pod: &str) -> u8 {
    match timeout(ASKED, engine.is_unhealthy(pod)).await {
        Ok(Ok(ill)) => u8::from(ill),
        Ok(Err(_)) | Err(_) => 0,
    }
}

/// A stop that is requested now. Its time runs from now, not from the engine's answer.
pub(crate) async fn stop_requested(engine: &DockerEngine, pod: &str) -> StateUpdate {
    let asked = Instant::now();
    let status = status_of_stop(engine, pod).await;
    StateUpdate::Stop { status, resumed: false, ago: asked.elapsed() }
}
