//! Several servers under one load: which connection belongs to which.
//!
//! Connections take turns. A room lives on one server, so in a broadcast it is the rooms that do.

use std::slice;

use super::{Endpoint, Mode, Plan, Target};

impl Target {
    /// The servers' URLs in the order given; empty if the server is inside.
    pub fn endpoints(&self) -> &[Endpoint] {
        match self {
            Self::Embedded { .. } => &[],
            Self::Url(endpoint) => slice::from_ref(endpoint),
            Self::Urls(endpoints) => endpoints,
        }
    }
}

impl Plan {
    /// Servers, at least 1: the one inside counts.
    pub(crate) fn servers(&self) -> u32 {
        self.target.endpoints().len().max(1) as u32
    }

    /// Connections whose numbers differ by a multiple of this ask for the same: the rooms, or else
    /// the servers. At least 1.
    pub(crate) fn groups(&self) -> u32 {
        match self.mode {
            Mode::Broadcast(rooms) => rooms.rooms.max(1),
            Mode::Echo | Mode::Idle => self.servers(),
        }
    }

    /// The server of connection `index`, from 0, and the connection's number among that server's.
    pub(crate) fn place(&self, index: u32) -> (u32, u32) {
        let (servers, groups) = (self.servers(), self.groups());
        let (round, group) = (index / groups, index % groups);
        let server = group % servers;
        let of_server = groups.saturating_sub(server).div_ceil(servers);
        (server, round * of_server + group / servers)
    }

    /// Connections of a server.
    pub(crate) fn connections_to(&self, server: u32) -> u32 {
        let (servers, groups) = (self.servers(), self.groups());
        let of = |groups: u32| groups.saturating_sub(server).div_ceil(servers);
        self.connections / groups * of(groups) + of(self.connections % groups)
    }

    /// The URL of connection `index`; `None` if the server is inside.
    pub(crate) fn endpoint_of(&self, index: u32) -> Option<&Endpoint> {
        self.target.endpoints().get(self.place(index).0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use crate::workload::tests::plan;

    #[test]
    fn every_connection_has_its_place() {
        for line in [
            "-c 7",
            "ws://a ws://b ws://c -c 7",
            "ws://a ws://b -c 2",
            "ws://a ws://b ws://c --mode broadcast -R 1 --rooms 7 -c 40",
            "ws://a ws://b --mode broadcast -R 1 --rooms 2 -c 9",
            "ws://a --mode broadcast -R 1 --rooms 4 -c 9",
        ] {
            let plan = plan(line);
            let mut seen = vec![0; plan.servers() as usize];
            for index in 0..plan.connections {
                let (server, number) = plan.place(index);
                assert_eq!(seen[server as usize], number, "{line}: {index}");
                seen[server as usize] += 1;
                // Whoever shares a room shares its server.
                assert_eq!(plan.place(index % plan.groups()).0, server, "{line}");
            }
            let all = (0..plan.servers()).map(|server| plan.connections_to(server));
            assert_eq!(all.collect::<Vec<_>>(), seen, "{line}");
        }
    }

    #[test]
    fn each_url_has_its_own_path() {
        let two = plan("ws://a/x ws://b/y/{connection}");
        assert_eq!(
            (two.path(0), two.path(1), two.path(3)),
            ("/x".into(), "/y/1".into(), "/y/3".into())
        );
        assert!(two.is_personal());
        let rooms = plan("ws://a/x ws://b/y --mode broadcast -R 1 --rooms 3");
        assert_eq!([0, 1, 2, 4].map(|index| rooms.path(index)), ["/x/0", "/y/1", "/x/2", "/y/1"]);
    }
}
