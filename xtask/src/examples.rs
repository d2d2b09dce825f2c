//! The images of `examples/`.

use anyhow::Result;

use crate::bases;
use crate::engine::Engine;
use crate::report::step;
use crate::workspace::Workspace;

/// Images and the folders that they are built of.
const IMAGES: [(&str, &str); 2] = [
    ("tandem-example/sidecar-app:latest", "examples/sidecar/app"),
    ("tandem-example/sidecar-proxy:latest", "examples/sidecar/proxy"),
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    IMAGES.map(|(name, _)| name).into()
}

/// Build them.
pub(crate) fn build(workspace: &Workspace, engine: &Engine) -> Result<()> {
    bases::debian(workspace, engine)?;
    for (name, folder) in IMAGES {
        step(&format!("build {name}"), || {
            let label = format!("{}=true", bases::TEST_LABEL);
            let mut build = engine.docker(["build", "--label", &label, "--tag", name]);
            engine.build(workspace, name, &mut build, &workspace.file(folder).display().to_string())
        })?;
    }
    Ok(())
}
