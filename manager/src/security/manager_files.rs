//! Finds a manager's own files from its flags, its environment and its mounts.

use std::path::Path;

use crate::cli::{RunArgs, manager_args};
use definition::registry_config;
use engine::{DEFAULT_SOCKET, EngineAddress};
use pod::policy::manager_files::{
    CREDENTIALS, ManagerFiles, POLICY, Purpose, SOCKET, UNKNOWN, certificates, services,
};
use pod::task_container::TaskContainer;

/// The files of the manager that runs in `own` and was started with these flags. A file with registry
/// passwords is included only if `there` reports that it exists.
pub fn of(own: &TaskContainer, args: &RunArgs, there: impl Fn(&str) -> bool) -> ManagerFiles {
    let mut paths: Vec<(String, Purpose)> = Vec::new();
    let engine = &args.engine;
    let address = EngineAddress::parse(
        Some(&engine.docker_host),
        Some(&engine.docker_tls_verify),
        Some(&engine.docker_cert_path),
    );
    match address {
        Ok(EngineAddress::Unix(path)) => paths.push((path.to_string_lossy().into_owned(), SOCKET)),
        Ok(_) | Err(_) => paths.push((DEFAULT_SOCKET.to_owned(), SOCKET)),
    }
    paths.extend(certificates(&engine.docker_cert_path));
    paths.extend(registry_config::paths().filter(|path| there(path)).map(|path| (path, CREDENTIALS)));
    paths.extend(args.pod.policy_file.clone().map(|path| (path, POLICY)));
    paths.extend(services(own));
    ManagerFiles::of(own, paths)
}

/// The files of the manager in this process.
pub fn here(own: &TaskContainer, args: &RunArgs) -> ManagerFiles {
    of(own, args, |path| Path::new(path).exists())
}

/// The files of a manager in another container, as far as the engine shows them. The engine does not list the
/// mounts of Swarm's secrets.
pub fn files_of_manager(task: &TaskContainer) -> ManagerFiles {
    let words = task.program.iter().skip_while(|word| *word != "/manager").skip(1);
    let command: Vec<String> = words.cloned().collect();
    match manager_args(&command, &task.environment) {
        Ok(args) => of(task, &args, |_| true),
        // This manager cannot parse the flags of the other one, so any mount of the other manager may hold
        // its files.
        Err(_) => ManagerFiles::of(task, task.mounts.iter().map(|mount| (mount.target.clone(), UNKNOWN))),
    }
}
