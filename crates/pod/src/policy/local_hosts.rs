//! Hosts that are the node itself or answer in its link-local network: a request of the engine's or the kernel's to one
//! reaches services that a component does not reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names under which clouds answer with credentials of the machine, and engines with the host itself.
const LOCAL_NAMES: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "host.docker.internal",
    "gateway.docker.internal",
    "metadata",
    "metadata.google.internal",
];

/// Addresses of the same outside of the link-local networks: Azure's, Alibaba's and Oracle's, and that of AWS by IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Names and addresses of the node itself, as far as the engine tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNames(Vec<String>);

impl NodeNames {
    /// These names and addresses; empty ones do not count.
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        NodeNames(names.into_iter().map(|name| name.to_lowercase()).filter(|name| !name.is_empty()).collect())
    }

    fn contain(&self, host: &str) -> bool {
        self.0.iter().any(|name| {
            let short = name.split('.').next().filter(|_| name.parse::<IpAddr>().is_err());
            name == host || short == Some(host)
        })
    }
}

/// A request to this name or address reaches the node itself, its link-local network, or a cloud's metadata service. Names
/// are not resolved.
pub(super) fn is_local_host(host: &str, node: &NodeNames) -> bool {
    let host = host.to_lowercase();
    // `fe80::1%eth0` (RFC 4007), and the dot at the end of an absolute name.
    let host = host.trim_matches(['[', ']']).split('%').next().unwrap_or_default().trim_end_matches('.');
    if LOCAL_NAMES.contains(&host) || host.ends_with(".localhost") || node.contain(host) {
        return true;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => is_local_address(address),
        // Resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses (`inet_aton(3)`); nobody needs one.
        Err(_) => {
            let last = host.rsplit('.').next().unwrap_or_default();
            last.is_empty() || last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
        }
    }
}

fn is_local_address(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => {
            let embedded = v6.to_ipv4_mapped().or_else(|| {
                // `64:ff9b::/96` (RFC 6052) and `::a.b.c.d` stand for addresses of IPv4 as well.
                let [a, b, c, d, e, f, high, low] = v6.segments();
                let prefix = [a, b, c, d, e, f];
                let stands = prefix == [0x64, 0xff9b, 0, 0, 0, 0] || prefix == [0; 6] && (high, low) > (0, 1);
                stands.then(|| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
            });
            embedded.map_or(IpAddr::V6(v6), IpAddr::V4)
        }
        v4 @ IpAddr::V4(_) => v4,
    };
    METADATA.contains(&address)
        || address.is_loopback()
        || address.is_unspecified()
        || match address {
            // All of 0.0.0.0/8 is this host (RFC 1122).
            IpAddr::V4(v4) => v4.is_link_local() || v4.octets()[0] == 0 || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
}
