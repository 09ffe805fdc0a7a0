//! In what two plans differ, field by field, under the names of the result file.

use simd_json::OwnedValue;
use simd_json::prelude::*;

use super::Plan;

/// One field that two plans do not share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Its path in the result file, such as `plan.size.max`.
    pub field: String,
    /// The first plan's value, as JSON; `null` if it has none.
    pub first: String,
    /// The second's.
    pub second: String,
}

/// Every field in which they differ, by name.
pub fn differences(first: &Plan, second: &Plan) -> Vec<Difference> {
    let value = |plan| simd_json::serde::to_owned_value(plan).unwrap_or_default();
    let mut found = Vec::new();
    compare("plan", &value(first), &value(second), &mut found);
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found
}

fn compare(field: &str, first: &OwnedValue, second: &OwnedValue, found: &mut Vec<Difference>) {
    if let (Some(a), Some(b)) = (first.as_object(), second.as_object()) {
        let null = OwnedValue::null();
        let only_there = b.keys().filter(|name| !a.contains_key(*name));
        for name in a.keys().chain(only_there) {
            let side = |of: &simd_json::owned::Object| of.get(name).cloned();
            let (first, second) = (side(a), side(b));
            let field = format!("{field}.{name}");
            let or_null = |value: &Option<OwnedValue>| value.clone().unwrap_or(null.clone());
            compare(&field, &or_null(&first), &or_null(&second), found);
        }
    } else if first != second {
        let (first, second) = (first.encode(), second.encode());
        found.push(Difference { field: field.to_owned(), first, second });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser as _;

    fn plan(line: &str) -> Plan {
        let line = format!("loadgen {line}");
        Args::try_parse_from(line.split_ascii_whitespace()).unwrap().plan().unwrap()
    }

    #[test]
    fn fields_by_name() {
        let fields = |a, b| {
            let found = differences(&plan(a), &plan(b));
            found.into_iter().map(|d| format!("{} {} {}", d.field, d.first, d.second))
        };
        assert_eq!(fields("-R 100", "-R 100 --json x --quiet -H a:b").count(), 0);
        let found: Vec<String> = fields("-R 100 --size 5", "-R 200 --size 5..9 --seed 7").collect();
        assert_eq!(
            found,
            ["plan.pace.open.rate 100.0 200.0", "plan.seed 1 7", "plan.size.max 5 9"]
        );
        let found: Vec<String> = fields("", "-R 1 --heartbeat off").collect();
        assert!(found.iter().any(|line| line.starts_with("plan.heartbeat ")), "{found:?}");
        assert!(found.contains(&"plan.pace.closed {\"in_flight\":1} null".to_owned()), "{found:?}");
    }

    /// What a result file holds of a plan makes the same plan again.
    #[test]
    fn plans_are_read_as_they_were_written() {
        for line in [
            "",
            "ws://[::1]:9001/echo?x=1 -c 7 -t 2 -R 10 --arrival poisson --seed 18446744073709551",
            "ws://a:9001/x ws://b ws://b -c 7",
            "--churn 5 --reconnect backoff:1s..9s --storm 50%@5s --storm 1%@6s:fin --ramp 7 \
             --dribble 8@2ms --slow-consumers 2%:1kB/s",
            "--mode broadcast --rooms 2 --publishers 3 --subscribers 4 --rate 5 --no-pin",
            "-R 10 --ramp-to 50 --size exp:100 --heartbeat-phase sync",
            "-R 10 --fragment-matrix fragments=1,2 -d 1s",
            "--mode idle --heartbeat 3s --heartbeat-kind text --ramp off --source-ip 127.0.0.2",
            "--pipeline 3 --size 64..128 --text --fragments 2 --fragment-gap 5ms --interleave-ping",
            "--slo response.p99<20ms,errors<0.1% --verify --subprotocol a --origin http://b",
        ] {
            let plan = plan(line);
            let mut text = simd_json::serde::to_vec(&plan).unwrap();
            let read: Plan = simd_json::serde::from_slice(&mut text).unwrap();
            assert_eq!(read, plan, "{line}");
        }
        // A file from before a field came.
        let old: Plan = simd_json::serde::from_slice(&mut b"{\"connections\":3}".to_vec()).unwrap();
        assert_eq!(old, Plan { connections: 3, ..Plan::default() });
        let old = b"{\"target\":{\"url\":{\"host\":\"a\",\"port\":9001,\"path\":\"/x\"}}}";
        let old: Plan = simd_json::serde::from_slice(&mut old.to_vec()).unwrap();
        assert_eq!(old.target, plan("ws://a:9001/x").target);
    }
}
