//! Stacks on a Swarm of three nodes, each against what Swarm reports. A program of its own, with engines of its own. What it
//! needs is what `pod_docker` and `lab_docker` need.
//!
//! The kernels of test machines may lack IP_VS: ports are published in host mode, and names resolve to tasks
//! (`dnsrr`). The ingress mesh and virtual addresses are tested by `ingress_docker`, in a virtual machine.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

#[allow(dead_code, reason = "other tests use the rest")]
mod lab;
mod swarm;
