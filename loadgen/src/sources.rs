//! Local addresses to connect from, so that ports do not run out.
//!
//! A TCP connection is known by both its ends, so each local address has its own range of ports
//! towards a server. On Linux all of 127.0.0.0/8 is local: there the generator helps itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use crate::cli::plan::{Plan, Sources};
use crate::target::kernel_choice;

/// Connections for each source address where there are addresses to spare. The kernel looks for a
/// free port from a random place: up to half of its range it finds one at once (25 us a connect),
/// at nine tenths it searches (412 us).
const PER_SOURCE: u32 = 8_000;

/// Linux's range when the file cannot be read.
const DEFAULT_PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// Why there is no way to connect so often.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The port ranges are too small for the connections.
    #[error(
        "no local port left for {from} -> {to}: {connections} connections need {need} source \
         addresses of {ports} ports each, have {have}: {remedy}"
    )]
    Ports {
        /// The address, or the first of several.
        from: IpAddr,
        /// The server.
        to: SocketAddr,
        /// Connections asked for.
        connections: u32,
        /// Source addresses that would do.
        need: u32,
        /// Source addresses given.
        have: u32,
        /// Ports of one address.
        ports: u32,
        /// What to do.
        remedy: String,
    },
    /// Not an address of this machine.
    #[error("--source-ip {from}: not an address of this machine ({cause}): {}", self.remedy())]
    NotLocal {
        /// The address.
        from: IpAddr,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// One is IPv4, the other IPv6.
    #[error("--source-ip {from}: the server is at {to}: {}", self.remedy())]
    Family {
        /// The address.
        from: IpAddr,
        /// The server.
        to: SocketAddr,
    },
    /// The kernel knows no way there.
    #[error("no route to {to} from this machine ({cause}): {}", self.remedy())]
    NoRoute {
        /// The server.
        to: SocketAddr,
        /// What the kernel said.
        cause: std::io::Error,
    },
}

impl SourcesError {
    /// What to do, in the run's words and the doctor's.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Ports { remedy, .. } => remedy.clone(),
            Self::NotLocal { .. } => "name one that `ip addr` lists".to_owned(),
            Self::Family { .. } => "use addresses of the same family".to_owned(),
            Self::NoRoute { to, .. } => format!("see `ip route get {}`", to.ip()),
        }
    }
}

/// Ports that the kernel may pick for an outgoing connection.
pub(crate) fn local_ports() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    text.ok().and_then(|text| parse_ports(&text)).unwrap_or(DEFAULT_PORTS)
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_ascii_whitespace().map(str::parse::<u16>);
    let (Some(Ok(low)), Some(Ok(high))) = (words.next(), words.next()) else { return None };
    (low <= high).then_some(low..=high)
}

/// The addresses to connect from in turn; `None` leaves the choice to the kernel.
///
/// Asks the kernel for the address it would pick and whether the given ones are local; both by
/// sockets that send nothing.
pub(crate) fn choose(
    asked: &Sources,
    to: SocketAddr,
    connections: u32,
) -> Result<Vec<Option<IpAddr>>, SourcesError> {
    let from = kernel_choice(to).map_err(|cause| SourcesError::NoRoute { to, cause })?;
    if let Sources::List(list) = asked {
        for &from in list {
            if from.is_ipv6() != to.is_ipv6() {
                return Err(SourcesError::Family { from, to });
            }
            UdpSocket::bind((from, 0)).map_err(|cause| SourcesError::NotLocal { from, cause })?;
        }
    }
    let ports = local_ports().len() as u32;
    divide(asked, from, to, connections, ports)
}

/// The source addresses for each of the plan's servers, which are at `to`. A port is taken towards
/// one address only, so each has its own budget; two URLs of one address share it.
pub(crate) fn for_servers(
    plan: &Plan,
    to: &[SocketAddr],
) -> Result<Vec<Vec<Option<IpAddr>>>, SourcesError> {
    to.iter().map(|at| choose(&plan.sources, *at, connections_at(plan, to, *at))).collect()
}

/// Connections to an address, whichever URLs name it.
fn connections_at(plan: &Plan, to: &[SocketAddr], address: SocketAddr) -> u32 {
    let there = (0..).zip(to).filter(|(_, to)| **to == address);
    there.map(|(server, _)| plan.connections_to(server)).sum()
}

/// The most connections that one source address begins towards one address.
pub(crate) fn crowd(plan: &Plan, to: &[SocketAddr], sources: &[Vec<Option<IpAddr>>]) -> u32 {
    let each = to.iter().zip(sources);
    let each =
        each.map(|(at, from)| connections_at(plan, to, *at).div_ceil((from.len() as u32).max(1)));
    each.max().unwrap_or(0)
}

/// `from` is the address that the kernel would pick; `ports` the size of its range.
fn divide(
    asked: &Sources,
    from: IpAddr,
    to: SocketAddr,
    connections: u32,
    ports: u32,
) -> Result<Vec<Option<IpAddr>>, SourcesError> {
    let sources = match (asked, to.ip()) {
        (Sources::List(list), _) => list.iter().copied().map(Some).collect(),
        (Sources::Auto, IpAddr::V4(server)) if server.is_loopback() => {
            loopback(connections.div_ceil(PER_SOURCE.min(ports).max(1)))
        }
        (Sources::Auto, _) => vec![None],
    };
    let (need, have) = (connections.div_ceil(ports.max(1)), sources.len() as u32);
    if have < need {
        let from = sources.first().copied().flatten().unwrap_or(from);
        let remedy = if to.ip().is_loopback() && matches!(asked, Sources::Auto) {
            "connect to 127.0.0.1 instead, which has addresses enough".to_owned()
        } else if to.ip().is_loopback() && to.is_ipv4() {
            "use --source-ip auto".to_owned()
        } else {
            format!(
                "use --source-ip with {need} addresses, ip addr add ADDRESS dev DEVICE gives more"
            )
        };
        return Err(SourcesError::Ports { from, to, connections, need, have, ports, remedy });
    }
    Ok(sources)
}

/// The first `n` addresses of 127.0.0.0/8; one alone is what the kernel picks anyway.
fn loopback(n: u32) -> Vec<Option<IpAddr>> {
    if n <= 1 {
        return vec![None];
    }
    let first = u32::from(Ipv4Addr::LOCALHOST);
    (0..n).map(|i| Some(IpAddr::V4(Ipv4Addr::from(first + i)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn to(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_gives_one_address_for_each_8000() {
        let from = ip("127.0.0.1");
        let server = to("127.0.0.1:9001");
        for (connections, sources) in [(1, 1), (8_000, 1), (8_001, 2), (100_000, 13)] {
            let chosen = divide(&Sources::Auto, from, server, connections, 28_232).unwrap();
            assert_eq!(chosen.len(), sources, "{connections} connections");
        }
        let chosen = divide(&Sources::Auto, from, server, 10_000, 28_232).unwrap();
        assert_eq!(chosen, [Some(ip("127.0.0.1")), Some(ip("127.0.0.2"))]);
        let scarce = divide(&Sources::Auto, from, server, 10_000, 1_000).unwrap();
        assert_eq!(scarce.len(), 10, "a smaller port range asks for more addresses");
    }

    #[test]
    fn a_shortage_is_named_before_the_run() {
        let list = Sources::List(vec![ip("127.0.0.1")]);
        let error = divide(&list, ip("127.0.0.1"), to("127.0.0.1:9001"), 30_000, 28_232);
        assert_eq!(
            error.unwrap_err().to_string(),
            "no local port left for 127.0.0.1 -> 127.0.0.1:9001: 30000 connections need 2 source \
             addresses of 28232 ports each, have 1: use --source-ip auto"
        );
        let error = divide(&Sources::Auto, ip("10.0.0.2"), to("10.0.0.9:80"), 30_000, 28_232);
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("no local port left for 10.0.0.2 -> 10.0.0.9:80"), "{text}");
        assert!(text.contains(": use --source-ip with 2 addresses, ip addr add"), "{text}");
        let error = divide(&Sources::Auto, ip("::1"), to("[::1]:80"), 30_000, 28_232);
        let text = error.unwrap_err().to_string();
        assert!(
            text.ends_with("connect to 127.0.0.1 instead, which has addresses enough"),
            "{text}"
        );
    }

    #[test]
    fn enough_ports_pass() {
        let list = Sources::List(vec![ip("127.0.0.1"), ip("127.0.0.2")]);
        let server = to("127.0.0.1:9001");
        let chosen = divide(&list, ip("127.0.0.1"), server, 56_464, 28_232).unwrap();
        assert_eq!(chosen.len(), 2);
        assert!(divide(&list, ip("127.0.0.1"), server, 56_465, 28_232).is_err());
        let far = divide(&Sources::Auto, ip("10.0.0.2"), to("10.0.0.9:80"), 28_232, 28_232);
        assert_eq!(far.unwrap(), [None]);
    }

    #[test]
    fn each_address_has_its_own_ports() {
        let plan = crate::workload::tests::plan;
        let (one, other) = (to("127.0.0.1:9001"), to("127.0.0.1:9002"));
        let sources = |to: &[SocketAddr]| {
            let plan = plan(&format!("{} -c 20k", "ws://h ".repeat(to.len())));
            let found = for_servers(&plan, to).unwrap();
            (found.iter().map(Vec::len).collect::<Vec<_>>(), crowd(&plan, to, &found))
        };
        assert_eq!(sources(&[one]), (vec![3], 6_667));
        // 10,000 to each, and of one address twice the 20,000 again.
        assert_eq!(sources(&[one, other]), (vec![2, 2], 5_000));
        assert_eq!(sources(&[one, one]), (vec![3, 3], 6_667));
    }

    #[test]
    fn the_kernel_is_asked() {
        let server = to("127.0.0.1:9001");
        assert_eq!(kernel_choice(server).unwrap(), ip("127.0.0.1"));
        let foreign = Sources::List(vec![ip("192.0.2.1")]);
        let error = choose(&foreign, server, 1).unwrap_err().to_string();
        assert!(
            error.starts_with("--source-ip 192.0.2.1: not an address of this machine"),
            "{error}"
        );
        let mixed = Sources::List(vec![ip("::1")]);
        assert!(matches!(choose(&mixed, server, 1), Err(SourcesError::Family { .. })));
        assert!(choose(&Sources::Auto, server, 100_000).unwrap().len() >= 13);
    }

    #[test]
    fn port_ranges_as_the_kernel_writes_them() {
        assert_eq!(parse_ports("32768\t60999\n"), Some(32_768..=60_999));
        for bad in ["", "1024", "x y", "9 8", "70000 80000"] {
            assert_eq!(parse_ports(bad), None, "{bad:?}");
        }
        assert!(!local_ports().is_empty());
    }
}
