//! The servers under load: none given is one inside, several share the connections.

use std::net::IpAddr;

use super::Args;
use super::plan::{Endpoint, Mode, Sources, Target};
use super::request;
use super::usage::{UsageError, refuse};

pub(super) fn target(args: &Args) -> Result<Target, UsageError> {
    if args.url.is_empty() {
        return Ok(Target::Embedded { threads: args.server_threads.and_then(|n| n.0) });
    }
    if args.server_threads.is_some() {
        return refuse(
            "--server-threads with a URL",
            "it sets the threads of the server that runs inside when there is no URL",
            "drop one of them",
        );
    }
    let urls = args.url.iter().map(|text| request::endpoint(text));
    let mut urls = urls.collect::<Result<Vec<_>, _>>()?;
    Ok(if urls.len() == 1 { Target::Url(urls.swap_remove(0)) } else { Target::Urls(urls) })
}

/// Whether each server gets something to do.
pub(super) fn shared(target: &Target, mode: Mode, connections: u32) -> Result<(), UsageError> {
    let urls = target.endpoints().len();
    if urls < 2 {
        return Ok(());
    }
    if let Mode::Broadcast(rooms) = mode
        && (rooms.rooms as usize) < urls
    {
        return refuse(
            format!("{urls} URLs with --rooms {}", rooms.rooms),
            "a room lives on one server, so some would have none",
            format!("use --rooms {urls} or more, or fewer URLs"),
        );
    }
    if (connections as usize) < urls {
        return refuse(
            format!("{urls} URLs with {connections} connections"),
            "some servers would have no connection",
            format!("use --connections {urls} or more, or fewer URLs"),
        );
    }
    Ok(())
}

pub(super) fn sources(args: &Args, target: &Target) -> Result<Sources, UsageError> {
    let input = format!("--source-ip {}", args.source_ip);
    let list = match args.source_list() {
        Ok(None) => return Ok(Sources::Auto),
        Ok(Some(list)) => list,
        Err(rule) => return refuse(input, rule, "write addresses separated by commas, or auto"),
    };
    let families: Vec<bool> = match target {
        Target::Embedded { .. } => vec![false],
        _ => target.endpoints().iter().filter_map(is_v6).collect(),
    };
    if families.contains(&true) && families.contains(&false) {
        return refuse(
            input,
            "the URLs are of both address families, and no address reaches both",
            "give URLs of one family, or drop --source-ip",
        );
    }
    for (at, source) in list.iter().enumerate() {
        if list[..at].contains(source) {
            return refuse(input, format!("{source} stands there twice"), "name each address once");
        }
        if families.contains(&!source.is_ipv6()) {
            return refuse(
                input,
                format!("{source} and the server are of different address families"),
                "use addresses of the server's family",
            );
        }
    }
    Ok(Sources::List(list))
}

/// Whether an address is IPv6; `None` for a name.
fn is_v6(endpoint: &Endpoint) -> Option<bool> {
    endpoint.host.parse::<IpAddr>().ok().map(|address| address.is_ipv6())
}
