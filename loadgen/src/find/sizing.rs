//! How many machines and how much memory so many users need, by what was found on one.
//!
//! Nothing here is measured: it is the found limit multiplied, and true only as far as users can be
//! spread over machines that do not depend on each other.

/// Users that the table has rows for.
const USERS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Share of the found limit that a machine is to carry: the rest is for peaks and lost machines.
pub const HEADROOM: f64 = 0.7;

/// What one machine was found to carry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Machine {
    /// Connections at the found load.
    pub connections: f64,
    /// Messages a second at the found load, all connections together; 0 if none were sent.
    pub messages: f64,
    /// Whether the connections were what was raised until something gave way.
    pub by_connections: bool,
    /// The server's memory for each connection, its own and the kernel's; `None` if not measured.
    pub bytes_each: Option<f64>,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Users, a connection each.
    pub users: u64,
    /// Messages a second of all users together, at the found run's rate for each.
    pub messages_per_second: f64,
    /// Machines of the measured kind.
    pub machines: u64,
    /// Memory for the connections, of all machines together, in bytes.
    pub memory_bytes: Option<f64>,
}

/// The table; empty if nothing passed.
pub(super) fn table(machine: Machine) -> Vec<Row> {
    if machine.connections <= 0.0 {
        return Vec::new();
    }
    let each = machine.messages / machine.connections;
    let row = |users: u64| {
        let rate = users as f64 * each;
        let by_rate = machine.messages > 0.0 && !machine.by_connections;
        let (need, have) =
            if by_rate { (rate, machine.messages) } else { (users as f64, machine.connections) };
        Row {
            users,
            messages_per_second: rate,
            machines: (need / (have * HEADROOM)).ceil().max(1.0) as u64,
            memory_bytes: machine.bytes_each.map(|bytes| bytes * users as f64),
        }
    };
    USERS.map(row).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_for_users() {
        let machine = Machine {
            connections: 500.0,
            messages: 50_000.0,
            by_connections: false,
            bytes_each: Some(10_000.0),
        };
        let rows = table(machine);
        assert_eq!(rows.iter().map(|row| row.users).collect::<Vec<_>>(), USERS);
        // 100 messages a second each: 1,000 users send 100,000, and a machine carries 35,000.
        assert_eq!((rows[0].machines, rows[1].machines), (3, 29));
        assert!((rows[1].messages_per_second - 1e6).abs() < 1e-6);
        assert_eq!(rows[1].memory_bytes, Some(1e8));
        let idle =
            Machine { connections: 70_000.0, messages: 0.0, by_connections: true, ..machine };
        assert_eq!(table(idle)[2].machines, 3);
        assert!(table(Machine { connections: 0.0, ..machine }).is_empty());
    }
}
