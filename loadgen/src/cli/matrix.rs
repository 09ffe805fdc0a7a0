//! The fragment matrix: every combination of fragments, gap and ping as a phase of one run.

use std::time::Duration;

use super::plan::{Fragmentation, PhasePlan, Plan};
use super::quantity;
use super::scenario::MAX_PHASES;
use super::usage::{UsageError, refuse};
use super::{Args, fragments};

/// What `--fragment-matrix` lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matrix {
    text: String,
    fragments: Vec<u32>,
    gaps: Vec<Duration>,
    pings: Vec<bool>,
}

/// `fragments=1,4,16 gap=0,5ms ping=off,on`; without `gap` there is none, without `ping` too.
pub(super) fn matrix(text: &str) -> Result<Matrix, String> {
    let mut matrix = Matrix {
        text: text.to_owned(),
        fragments: Vec::new(),
        gaps: Vec::new(),
        pings: Vec::new(),
    };
    for part in text.split_whitespace() {
        let (name, list) = part.split_once('=').ok_or(format!("'{part}' has no list: {FORM}"))?;
        for item in list.split(',') {
            let told = |rule: String| format!("{name}={item}: {rule}");
            let new = match (name, item) {
                ("fragments", _) => {
                    add(&mut matrix.fragments, quantity::positive(item).map_err(told)?)
                }
                ("gap", _) => add(&mut matrix.gaps, quantity::duration(item).map_err(told)?),
                ("ping", "on") => add(&mut matrix.pings, true),
                ("ping", "off") => add(&mut matrix.pings, false),
                ("ping", _) => return Err(told("write on or off".to_owned())),
                _ => return Err(format!("'{name}' is unknown: {FORM}")),
            };
            if !new {
                return Err(format!("{name}={item}: it stands there twice"));
            }
        }
    }
    if matrix.fragments.is_empty() {
        return Err(format!("no fragments: {FORM}"));
    }
    Ok(matrix)
}

const FORM: &str = "write lists such as 'fragments=1,4,16 gap=0,5ms ping=off,on'";

/// False if it is in the list.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let new = !list.contains(&item);
    if new {
        list.push(item);
    }
    new
}

impl Matrix {
    /// Every combination, unfragmented ones once: they have no gap.
    fn combinations(&self) -> Vec<Fragmentation> {
        let or =
            |list: &[Duration]| if list.is_empty() { vec![Duration::ZERO] } else { list.into() };
        let (gaps, none) = (or(&self.gaps), vec![Duration::ZERO]);
        let pings = if self.pings.is_empty() { &[false][..] } else { &self.pings };
        let mut all = Vec::new();
        for &fragments in &self.fragments {
            for &gap in if fragments == 1 { &none } else { &gaps } {
                for &interleave_ping in pings {
                    all.push(Fragmentation { fragments, gap, interleave_ping });
                }
            }
        }
        all
    }

    /// The plan of the run: each combination lasts as long as the window of `plan`.
    pub(super) fn plan(&self, args: &Args, plan: Plan, senders: u32) -> Result<Plan, UsageError> {
        let input = format!("--fragment-matrix '{}'", self.text);
        let flags = [
            ("--mode idle", senders == 0),
            ("--fragments", args.fragments.is_some()),
            ("--fragment-gap", args.fragment_gap.is_some()),
            ("--interleave-ping", args.interleave_ping),
            ("--ramp-to", args.ramp_to.is_some()),
            ("a scenario's phases", !args.phases.is_empty()),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
            let input = format!("{input} with {flag}");
            return refuse(input, "the matrix makes its phases itself", "drop one of them");
        }
        let combinations = self.combinations();
        if combinations.len() > MAX_PHASES {
            let rule = format!("{} combinations, over {MAX_PHASES}", combinations.len());
            return refuse(input, rule, "list fewer");
        }
        let phase = |fragmentation: Fragmentation| {
            fragments::check(fragmentation, &plan.size, plan.duration, plan.pace, senders)?;
            Ok(PhasePlan { name: name(fragmentation), fragmentation, ..plan.as_phase() })
        };
        let phases: Vec<_> = combinations.into_iter().map(phase).collect::<Result<_, _>>()?;
        Ok(Plan {
            duration: plan.duration * phases.len() as u32,
            fragmentation: phases[0].fragmentation,
            phases,
            fragment_matrix: Some(self.text.clone()),
            ..plan
        })
    }
}

/// Such as `4x5ms+ping`.
fn name(of: Fragmentation) -> String {
    let gap = if of.gap.is_zero() {
        String::new()
    } else {
        format!("x{}", humantime::format_duration(of.gap)).replace(' ', "")
    };
    format!("{}{gap}{}", of.fragments, if of.interleave_ping { "+ping" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_once() {
        let names = |text: &str| -> Vec<String> {
            matrix(text).unwrap().combinations().into_iter().map(name).collect()
        };
        assert_eq!(
            names("fragments=1,4 gap=0,5ms ping=off,on"),
            ["1", "1+ping", "4", "4+ping", "4x5ms", "4x5ms+ping"]
        );
        assert_eq!(names("gap=5ms fragments=2,1"), ["2x5ms", "1"]);
        assert_eq!(names("fragments=3"), ["3"]);
    }

    #[test]
    fn what_is_no_matrix() {
        for (text, said) in [
            ("", "no fragments"),
            ("gap=5ms", "no fragments"),
            ("fragments", "'fragments' has no list"),
            ("fragments=0", "fragments=0: must be at least 1"),
            ("fragments=2,2", "fragments=2: it stands there twice"),
            ("fragments=2 gap=5", "gap=5: not a duration"),
            ("fragments=2 ping=yes", "ping=yes: write on or off"),
            ("fragments=2 pong=on", "'pong' is unknown"),
        ] {
            let error = matrix(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
