//! The report for people: the verdict first, then what was asked for against what was achieved.

mod server;
mod target;

use std::time::Duration;

use super::{Finished, Style, life, phases, table};
use crate::cli::plan::{Arrival, HeartbeatKind, Mode, Pace, PayloadKind, Plan};
use crate::cost::us_per_message;
use crate::human::{counted, decimal, grouped, time};
use crate::judge::Verdict;
use crate::measure::Outcome;
use crate::slo::Held;

/// Width of the names at the left, in columns.
const NAME: usize = 13;

/// Lines with a name at their left.
struct Page {
    lines: Vec<String>,
    style: Style,
}

impl Page {
    fn line(&mut self, name: &str, text: &str) {
        let name = self.style.heading(&format!("{name:<NAME$}"));
        self.lines.push(format!("{name} {text}"));
    }

    fn aside(&mut self, text: &str) {
        self.lines.push(format!("{:NAME$} {}", "", self.style.aside(text)));
    }

    /// A count that should be 0.
    fn fault(&self, n: u64, what: &str) -> String {
        let text = format!("{} {what}", grouped(n));
        if n > 0 { self.style.bad(&text) } else { text }
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }
}

pub(super) fn report(finished: Finished<'_>, style: Style) -> String {
    let Finished { plan, outcome, .. } = finished;
    let mut page = Page { lines: Vec::new(), style };
    verdict(finished, &mut page);
    objectives(finished.held, &mut page);
    page.blank();
    target::lines(outcome, &mut page);
    page.line("load", &load(plan, outcome));
    if outcome.loopback {
        page.aside("loopback: both ends on one machine; no network capacity was measured");
    }
    achieved(plan, outcome, &mut page);
    let spread = outcome.tally.broadcast.as_ref().map(|broadcast| ("spread", &broadcast.spread));
    let latencies = table::lines(&outcome.latencies, spread, style);
    if !latencies.is_empty() {
        page.blank();
        page.lines.extend(latencies);
        confidence(outcome, &mut page);
        steady_state(outcome, &mut page);
    }
    page.lines.extend(phases::lines(finished, style));
    errors(outcome, &mut page);
    page.blank();
    generator(finished, &mut page);
    floor(outcome, &mut page);
    server::lines(finished, &mut page);
    for note in &outcome.notes {
        page.line("note", note);
    }
    page.lines.join("\n") + "\n"
}

/// How long a run would have to last for the first percentile that has too few samples.
fn confidence(outcome: &Outcome, page: &mut Page) {
    let Some((kind, latency)) = outcome.answered() else { return };
    let measured = outcome.phases.measure.as_secs_f64();
    let Some((percentile, samples)) = table::too_few(latency).next() else { return };
    let Some(seconds) = table::seconds_for(samples, kind, latency, measured) else { return };
    let text = format!(
        "  {percentile} of {} asks for {} samples: --duration {} at this rate",
        kind.name(),
        grouped(samples.round() as u64),
        humantime::format_duration(Duration::from_secs(seconds)).to_string().replace(' ', "")
    );
    page.lines.push(page.style.aside(&text));
}

/// Whether the run had come to rest: percentiles of one that had not depend on its length.
fn steady_state(outcome: &Outcome, page: &mut Page) {
    let Some(steadiness) = outcome.steadiness() else { return };
    let word = if steadiness.holds() { "steady state" } else { "no steady state" };
    let text = format!(
        "  {word}: over the last three windows of {} s p50 differs by {:.0} %, p99 by {:.0} %",
        outcome.timeline.window_s,
        steadiness.p50_spread * 100.0,
        steadiness.p99_spread * 100.0
    );
    let text =
        if steadiness.holds() { page.style.aside(&text) } else { page.style.doubtful(&text) };
    page.lines.push(text);
}

/// The objectives, each with a mark that k6's users know.
fn objectives(held: &[Held], page: &mut Page) {
    for (at, clause) in held.iter().enumerate() {
        let text = if clause.passed {
            page.style.good(&format!("\u{2713} {clause}"))
        } else {
            page.style.bad(&format!("\u{2717} {clause}"))
        };
        page.line(if at == 0 { "objectives" } else { "" }, &text);
    }
}

fn verdict(finished: Finished<'_>, page: &mut Page) {
    let style = page.style;
    let judgement = finished.judgement;
    let text = match judgement.verdict {
        Verdict::Valid => style.good("valid: the figures are the server's"),
        Verdict::GeneratorBound => {
            style.bad("generator_bound: the figures are the generator's, not the server's")
        }
        Verdict::Inconclusive => {
            style.doubtful("inconclusive: the figures show neither side by itself")
        }
    };
    page.line("verdict", &text);
    for reason in &judgement.reasons {
        page.line("", &format!("- {reason}"));
    }
}

/// What was asked for.
fn load(plan: &Plan, outcome: &Outcome) -> String {
    let mut parts = vec![match plan.mode {
        Mode::Echo => "echo".to_owned(),
        Mode::Idle => "idle".to_owned(),
        Mode::Broadcast(who) => format!(
            "broadcast, {} and {} in {}",
            counted(who.publishers.into(), "publisher"),
            counted(who.subscribers.into(), "subscriber"),
            counted(who.rooms.into(), "room")
        ),
    }];
    if plan.phases.is_empty() {
        one_load(plan, &mut parts);
    } else {
        let names: Vec<&str> = plan.phases.iter().map(|phase| phase.name.as_str()).collect();
        parts.push(format!("phases {}", names.join(" ")));
    }
    parts.push(format!("{:.1} s measured", outcome.phases.measure.as_secs_f64()));
    parts.join(", ")
}

/// What is asked for in a window of one phase.
fn one_load(plan: &Plan, parts: &mut Vec<String>) {
    match plan.pace {
        Pace::Silent => {}
        Pace::Closed { in_flight } => parts.push(format!("closed loop, {in_flight} in flight")),
        Pace::Open { rate, arrival } => parts.push(format!(
            "open loop, {} messages/s in total ({})",
            match plan.ramp_to {
                None => decimal(rate),
                Some(to) => format!("{} to {}", decimal(rate), decimal(to)),
            },
            match arrival {
                Arrival::Uniform => "uniform",
                Arrival::Poisson => "poisson",
            }
        )),
    }
    if plan.pace != Pace::Silent {
        let kind = match plan.payload {
            PayloadKind::Text => "text",
            PayloadKind::Binary => "binary",
        };
        parts.push(format!("{} B {kind}", plan.size));
        if plan.fragmentation.fragments > 1 {
            parts.push(format!("{} fragments", plan.fragmentation.fragments));
        }
    }
    if let Some(dribble) = plan.life.dribble {
        parts.push(format!("segments of up to {dribble}"));
    }
    if let Some(heartbeat) = plan.heartbeat {
        let kind = match heartbeat.kind {
            HeartbeatKind::Ping => "pings",
            HeartbeatKind::Text => "text heartbeats",
        };
        let interval = humantime::format_duration(heartbeat.interval);
        parts.push(format!("{kind} every {interval}"));
    }
}

/// What came of it.
fn achieved(plan: &Plan, outcome: &Outcome, page: &mut Page) {
    let tally = &outcome.tally;
    let connections = format!(
        "{} of {} established in {:.1} s, {}, {}",
        grouped(tally.established),
        grouped(tally.requested),
        outcome.phases.connect.as_secs_f64(),
        page.fault(tally.failed, "failed"),
        page.fault(tally.closed_early, "closed early")
    );
    page.line("connections", &connections);
    for (name, text) in life::lines(plan, outcome, page.style) {
        page.line(name, &text);
    }
    if plan.pace != Pace::Silent {
        messages(outcome, page);
    }
    integrity(plan, outcome, page);
    pings(outcome, page);
    broadcast(outcome, page);
}

fn messages(outcome: &Outcome, page: &mut Page) {
    let tally = &outcome.tally;
    let rate = decimal(outcome.rate_achieved());
    let rate = match outcome.rate_requested {
        Some(requested) => format!("{rate}/s of {}/s requested, in total", decimal(requested)),
        None => format!("{rate}/s in total, at the server's pace"),
    };
    page.line("rate", &rate);
    let answers = if tally.broadcast.is_some() { "delivered" } else { "answered" };
    let messages = format!(
        "{} due, {} sent, {}, {} {answers}, {}",
        grouped(tally.due),
        grouped(tally.sent),
        page.fault(tally.unsent(), "unsent"),
        grouped(tally.received),
        page.fault(tally.unanswered, "unanswered")
    );
    page.line("messages", &messages);
    unanswered_ages(outcome, page);
}

/// What was compared; faults are named even where nothing was to be compared.
fn integrity(plan: &Plan, outcome: &Outcome, page: &mut Page) {
    let tally = &outcome.tally;
    let mut parts = Vec::new();
    if plan.verify {
        parts.push(format!("{} verified", grouped(tally.verified)));
    } else if plan.pace != Pace::Silent {
        parts.push("bytes not compared (--verify)".to_owned());
    }
    let always = plan.pace != Pace::Silent;
    for (count, what, shown) in [
        (tally.corrupt, "corrupt", plan.verify),
        (tally.duplicate, "duplicate", always),
        (tally.reordered, "reordered", always),
        (tally.strays, "unasked for", false),
    ] {
        if shown || count > 0 {
            parts.push(page.fault(count, what));
        }
    }
    if !parts.is_empty() {
        page.line("integrity", &parts.join(", "));
    }
}

fn pings(outcome: &Outcome, page: &mut Page) {
    let tally = &outcome.tally;
    if tally.pings_sent + tally.pings_unsent == 0 {
        return;
    }
    let mut parts = vec![
        format!("{} sent", grouped(tally.pings_sent)),
        page.fault(tally.pings_unanswered, "unanswered"),
    ];
    for (count, what) in [
        (tally.pings_unsent, "unsent"),
        (tally.pings_overdue, "due before the last answer"),
        (tally.pings_coalesced, "answered by a later pong"),
    ] {
        if count > 0 {
            parts.push(page.fault(count, what));
        }
    }
    page.line("pings", &parts.join(", "));
}

fn broadcast(outcome: &Outcome, page: &mut Page) {
    let Some(broadcast) = &outcome.tally.broadcast else { return };
    let text = format!(
        "reach {:.4} % ({} of {} deliveries), {}, {}, {}",
        // Rounded down: 100 % means every one.
        (broadcast.reach() * 1e6).floor() / 1e4,
        grouped(broadcast.received),
        grouped(broadcast.expected),
        page.fault(broadcast.lost(), "lost"),
        page.fault(broadcast.duplicate, "duplicate"),
        page.fault(broadcast.reordered, "reordered")
    );
    page.line("broadcast", &text);
}

fn unanswered_ages(outcome: &Outcome, page: &mut Page) {
    let ages = outcome.tally.unanswered_age.summary();
    if ages.count > 0 {
        let text = format!(
            "the unanswered had been waiting {} to {} at the end, half of them over {}",
            time(ages.min),
            time(ages.max),
            time(ages.p50)
        );
        page.line("", &text);
    }
}

fn errors(outcome: &Outcome, page: &mut Page) {
    let mut causes = Vec::new();
    for (when, errors) in
        [("", &outcome.tally.errors), ("while closing: ", &outcome.tally.close_errors)]
    {
        let mut errors: Vec<_> = errors.iter().map(|(cause, n)| (when, cause, n)).collect();
        // The most frequent first; equal ones stay in the order of their names.
        errors.sort_by_key(|(_, _, count)| std::cmp::Reverse(**count));
        causes.extend(errors);
    }
    let slow = outcome.tally.slow.iter().flat_map(|slow| &slow.errors);
    causes.extend(slow.map(|(why, n)| ("slow consumers: ", why, n)));
    causes.extend(life::failures(&outcome.tally.life).map(|(why, n)| ("coming back: ", why, n)));
    if !causes.is_empty() {
        page.blank();
    }
    for (at, (when, cause, count)) in causes.into_iter().enumerate() {
        let text = format!("{} x {when}{cause}", grouped(*count));
        let text = page.style.bad(&text);
        page.line(if at == 0 { "errors" } else { "" }, &text);
    }
}

fn generator(finished: Finished<'_>, page: &mut Page) {
    let health = &finished.outcome.generator;
    let mut parts = vec![
        counted(health.threads.len() as u64, "thread"),
        format!("{:.2} s CPU{}", health.cpu().as_secs_f64(), per_message(finished, health.cpu())),
        format!("busiest thread {:.1} %", health.busiest_thread_percent()),
    ];
    for (cores, percent) in health.core_percents() {
        let names: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let noun = if cores.len() == 1 { "core" } else { "cores" };
        parts.push(format!("{noun} {} {percent:.1} %", names.join("+")));
    }
    page.line("generator", &parts.join(", "));
}

/// What the generator reports of an echo that costs nothing.
fn floor(outcome: &Outcome, page: &mut Page) {
    let Some(floor) = &outcome.floor else { return };
    let figures = format!(
        "p50 {}, p99 {}: what this generator reports of an echo that costs nothing",
        time(floor.p50),
        time(floor.p99)
    );
    page.line("floor", &figures);
    if let Some((kind, _)) = outcome.answered().filter(|_| outcome.is_near_the_floor()) {
        let text = format!(
            "{} p50 is under twice that: it is the generator's and the kernel's more than the \
             server's",
            kind.name()
        );
        let text = page.style.doubtful(&text);
        page.line("", &text);
    }
}

/// CPU for each message. Pings cost as much as messages do, so where they are many it is said.
fn per_message(finished: Finished<'_>, cpu: Duration) -> String {
    let pings = finished.outcome.tally.pings_sent > finished.messages() / 10;
    let with = if pings { " with its share of pings" } else { "" };
    let us = us_per_message(cpu, finished.messages());
    us.map_or(String::new(), |us| format!(" ({us:.2} us a message{with})"))
}
