//! The server's address, found before the run: a name that does not resolve is no connect error.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use crate::cli::plan::{Endpoint, Target};

/// Longest wait for each address of a name that has several.
const PROBE: Duration = Duration::from_secs(3);

/// Why there is no server to connect to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The name is unknown.
    #[error("the name '{host}' does not resolve ({cause}): check its spelling and the DNS")]
    Name {
        /// The URL's host.
        host: String,
        /// What the resolver said.
        cause: std::io::Error,
    },
    /// None of several addresses accepts a connection.
    #[error("no address of '{host}' accepts connections on port {port}: {cause}")]
    NoAddress {
        /// The URL's host.
        host: String,
        /// The URL's port.
        port: u16,
        /// What became of each address.
        cause: String,
    },
}

/// The address to connect to. Where a name has several, as `localhost` has one of each family, each
/// is tried with one TCP connection, and the first that accepts is it.
pub(crate) fn resolve(endpoint: &Endpoint) -> Result<SocketAddr, TargetError> {
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let found = (host.as_str(), port).to_socket_addrs();
    let mut addresses: Vec<SocketAddr> = match found {
        Ok(addresses) => addresses.collect(),
        Err(cause) => return Err(TargetError::Name { host, cause }),
    };
    addresses.dedup();
    match addresses[..] {
        [] => {
            let cause = std::io::Error::new(ErrorKind::NotFound, "it has no address");
            Err(TargetError::Name { host, cause })
        }
        [only] => Ok(only),
        _ => first_that_accepts(&addresses).map_err(|causes| {
            let cause = causes.join(", ");
            TargetError::NoAddress { host, port, cause }
        }),
    }
}

/// The addresses of all URLs, in their order; none if the server is inside.
pub(crate) fn resolve_all(target: &Target) -> Result<Vec<SocketAddr>, TargetError> {
    target.endpoints().iter().map(resolve).collect()
}

fn first_that_accepts(addresses: &[SocketAddr]) -> Result<SocketAddr, Vec<String>> {
    let mut causes = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, PROBE) {
            Ok(_) => return Ok(*address),
            Err(cause) => {
                let words = match cause.kind() {
                    ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                    ErrorKind::TimedOut => "no answer".to_owned(),
                    _ => cause.to_string(),
                };
                causes.push(format!("{} {words}", address.ip()));
            }
        }
    }
    Err(causes)
}

/// The local address that the kernel picks towards a server. Sends nothing.
pub(crate) fn kernel_choice(to: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether the server is on this machine, so that no network is measured.
pub(crate) fn is_this_machine(to: SocketAddr) -> bool {
    to.ip().is_loopback() || kernel_choice(to).is_ok_and(|from| from == to.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port, path: "/".to_owned() }
    }

    #[test]
    fn addresses_need_no_resolver() {
        let to = resolve(&endpoint("127.0.0.1", 9001)).unwrap();
        assert_eq!(to, "127.0.0.1:9001".parse().unwrap());
        let to = resolve(&endpoint("::1", 80)).unwrap();
        assert_eq!(to, "[::1]:80".parse().unwrap());
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named() {
        let text = resolve(&endpoint("no-such-host.invalid", 80)).unwrap_err().to_string();
        assert!(text.starts_with("the name 'no-such-host.invalid' does not resolve"), "{text}");
    }

    #[test]
    fn the_first_address_that_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        assert_eq!(first_that_accepts(&[closed, open]), Ok(open));
        let causes = first_that_accepts(&[closed]).unwrap_err();
        assert_eq!(causes, ["127.0.0.1 connection refused"]);
    }

    #[test]
    fn loopback_is_this_machine() {
        assert!(is_this_machine("127.0.0.9:1".parse().unwrap()));
        assert!(!is_this_machine("192.0.2.7:1".parse().unwrap()));
    }
}
