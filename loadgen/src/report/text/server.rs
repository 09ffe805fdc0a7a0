//! What the server cost, as far as it could be seen.

use super::{Finished, Page, per_message};
use crate::cost::ServerCost;
use crate::human::{bytes, counted};

pub(super) fn lines(finished: Finished<'_>, page: &mut Page) {
    let Some(cost) = &finished.outcome.server else {
        let plan = finished.plan;
        let asked = plan.server_pid.is_some() || plan.server_metrics.is_some();
        let remedy = if finished.outcome.embedded || asked {
            "not measured: its figures could not be read"
        } else if finished.outcome.loopback {
            "not measured; give --server-pid if it runs on this machine"
        } else {
            "not measured; give --server-metrics if it has a page of them"
        };
        page.line("server", remedy);
        return;
    };
    let established = finished.outcome.tally.established;
    let who = match (&cost.page, cost.pid) {
        (Some(page), _) => page.clone(),
        (None, Some(pid)) => format!("pid {pid}"),
        (None, None) => "of unknown origin".to_owned(),
    };
    let cpu = format!("{:.2} s CPU{}", cost.cpu.as_secs_f64(), per_message(finished, cost.cpu));
    page.line("server", &format!("{who}, {cpu}"));
    if let Some(text) = by_second(cost) {
        page.aside(&text);
    }
    page.line("memory", &memory(cost, established));
    // Of a server elsewhere this machine's kernel tells nothing.
    if finished.outcome.loopback || cost.page.is_none() {
        page.aside(&kernel(cost, established, finished.outcome.loopback));
    }
}

/// CPU between each two looks, as a share of a core.
fn by_second(cost: &ServerCost) -> Option<String> {
    let share = |pair: &[crate::cost::Sample]| {
        (pair[1].cpu_seconds - pair[0].cpu_seconds).max(0.0) / (pair[1].t_s - pair[0].t_s)
    };
    // Those that begin in the measured window; the last look lies behind it.
    let pairs = cost.samples.windows(2).filter(|pair| pair[0].t_s >= -0.5);
    let mut shares: Vec<f64> = pairs.map(share).filter(|share| share.is_finite()).collect();
    shares.sort_by(f64::total_cmp);
    let (least, most) = (shares.first()?, shares.last()?);
    let middle = shares[shares.len() / 2];
    let rss = cost.samples.iter().filter_map(|sample| sample.rss_bytes).max();
    let rss = rss.map_or(String::new(), |rss| format!("; {} resident at most", bytes(rss as f64)));
    Some(format!(
        "{}: {:.0} % of a core in the median, {:.0} % to {:.0} %{rss}",
        counted(cost.samples.len() as u64, "look"),
        middle * 100.0,
        least * 100.0,
        most * 100.0
    ))
}

fn memory(cost: &ServerCost, established: u64) -> String {
    let whose = if cost.shared_process { ", generator and server together" } else { "" };
    let each = cost.bytes_per_connection(established);
    let each = each.map_or(String::new(), |each| format!(", {} for each connection", bytes(each)));
    if cost.setup.rss_idle == 0 && cost.rss_after == 0 {
        return "not told by the server".to_owned();
    }
    format!(
        "{} idle, {} connected, {} after{each}{whose}",
        bytes(cost.setup.rss_idle as f64),
        bytes(cost.setup.rss_connected as f64),
        bytes(cost.rss_after as f64)
    )
}

fn kernel(cost: &ServerCost, established: u64, loopback: bool) -> String {
    let kernel = cost.kernel;
    let ends = if loopback { ", both its ends" } else { "" };
    let each = cost.kernel_bytes_per_connection(established);
    let each =
        each.map_or(String::new(), |each| format!(", {} for each connection{ends}", bytes(each)));
    let named = kernel.socket_slab_bytes.map_or(String::new(), |named| {
        format!(" ({} by the names of sockets)", bytes(named as f64))
    });
    format!(
        "kernel, whole machine, idle to connected: {} slab{named}, {} socket buffers, {} sockets\
         {each}",
        bytes(kernel.slab_bytes as f64),
        bytes(kernel.socket_bytes as f64),
        kernel.sockets
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Sample;

    #[test]
    fn shares_of_a_core_by_second() {
        let sample = |t_s: f64, cpu_seconds: f64| Sample {
            t_s,
            cpu_seconds,
            rss_bytes: Some(1 << 20),
            ..Sample::default()
        };
        let mut cost = ServerCost::default();
        assert_eq!(by_second(&cost), None);
        cost.samples =
            [(-2.0, 0.0), (-1.0, 0.9), (0.0, 1.0), (1.0, 1.25), (2.0, 1.75), (3.0, 2.75)]
                .map(|(t_s, cpu)| sample(t_s, cpu))
                .to_vec();
        let said = "6 looks: 50 % of a core in the median, 25 % to 100 %; 1.0 MiB resident at most";
        assert_eq!(by_second(&cost).unwrap(), said);
    }
}
