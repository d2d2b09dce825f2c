//! Network and mount namespaces for daemons that run beside another engine, and a network between them.
//!
//! A namespace lives as long as a process in it, which reads what only we could write: however we end, it ends too, and
//! takes links, mounts and addresses along.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, SHORT};

/// A network, a mount and a UTS namespace. A daemon in the machine's own would delete another one's `docker0`; one that is
/// started again finds its bridge and its mounts.
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// A new one with this host name, and nothing but `lo` in it.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut unshare = process::command("unshare");
        let script = "echo $0 > /proc/sys/kernel/hostname; echo here; read _";
        unshare.args(["--net", "--mount", "--uts", "sh", "-c", script, name]);
        let mut holder = process::spawn(unshare.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let told = holder.stdout.take().context("invariant: the output was asked for")?;
        let namespace = Namespace { holder };
        // Until then it is still in ours.
        std::io::Read::read_exact(&mut { told }, &mut [0; 5])
            .context("`unshare --net --mount --uts` makes no namespaces: this needs root")?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The process that holds it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A program in it. Not `ip netns exec`, which hides the cgroup mounts.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = process::command("nsenter");
        command.args(["--target", &self.pid().to_string(), "--net", "--mount", "--uts", program]);
        command
    }

    /// What is in one folder of the machine is in another one, there only.
    pub(crate) fn bind(&self, from: &Path, to: &Path) -> Result<()> {
        process::captured(self.command("mount").arg("--bind").args([from, to]), SHORT).map(drop)
    }

    /// `ip` in it.
    pub(crate) fn ip(&self, args: &[&str]) -> Result<String> {
        process::captured(self.command("ip").args(args), SHORT)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        process::end(&mut self.holder);
    }
}

/// A network of nodes that this machine reaches: a switch in a namespace of its own, where no firewall of an engine sees
/// what passes.
pub(crate) struct Switch {
    namespace: Namespace,
    /// The first three bytes of each address.
    prefix: String,
    nodes: u8,
}

impl Switch {
    /// One that this machine is connected to.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Namespace::new("switch")?;
        let pid = namespace.pid();
        // 198.18.0.0/15 is for tests (RFC 2544): nobody's network. A /24 of it for each of 512 processes.
        let prefix = format!("198.{}.{}", 18 + pid / 256 % 2, pid % 256);
        namespace.ip(&["link", "add", "switch", "type", "bridge"])?;
        namespace.ip(&["link", "set", "switch", "up"])?;
        let switch = Switch { namespace, prefix, nodes: 0 };
        let here = format!("tdm{pid}");
        let outside = |args: &[&str]| process::captured(process::command("ip").args(args), SHORT);
        let (there, target) = ("machine", pid.to_string());
        outside(&["link", "add", &here, "type", "veth", "peer", "name", there, "netns", &target])?;
        outside(&["addr", "add", &format!("{}.1/24", switch.prefix), "dev", &here])?;
        outside(&["link", "set", &here, "up"])?;
        switch.plug(there)?;
        Ok(switch)
    }

    /// Connect a namespace: the address that it has from now on.
    pub(crate) fn connect(&mut self, node: &Namespace) -> Result<String> {
        self.nodes += 1;
        let address = format!("{}.{}", self.prefix, self.nodes + 1);
        let (port, target) = (self.port(self.nodes), node.pid().to_string());
        self.namespace
            .ip(&["link", "add", &port, "type", "veth", "peer", "name", "tdm0", "netns", &target])?;
        node.ip(&["addr", "add", &format!("{address}/24"), "dev", "tdm0"])?;
        node.ip(&["link", "set", "tdm0", "up"])?;
        // A Swarm manager looks for one where it is told no address.
        node.ip(&["route", "add", "default", "via", &format!("{}.1", self.prefix)])?;
        self.plug(&port)?;
        Ok(address)
    }

    /// Pull the plug of the n-th node, the first being 1, or put it in again.
    pub(crate) fn set_plugged(&self, node: u8, plugged: bool) -> Result<()> {
        self.namespace.ip(&["link", "set", &self.port(node), if plugged { "up" } else { "down" }]).map(drop)
    }

    fn port(&self, node: u8) -> String {
        format!("node{node}")
    }

    fn plug(&self, port: &str) -> Result<()> {
        self.namespace.ip(&["link", "set", port, "master", "switch", "up"]).map(drop)
    }
}
