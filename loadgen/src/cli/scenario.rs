//! The scenario file: flags by their names, and phases. Flags on the command line override it.
//!
//! A key becomes the flag of its name, so that each value is read by the same parser and held to
//! the same rules; nothing is known here of what a flag means.

use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::duration;
use super::plan::{PhasePlan, Plan};
use super::usage::{UsageError, refuse};
use super::{Args, Cli, input};

/// Most phases of one run: each has histograms of its own in every thread.
pub(super) const MAX_PHASES: usize = 100;

/// Longest name of a phase, in characters.
const MAX_NAME: usize = 40;

/// What a phase may set for itself; all else holds for the whole run.
const OF_PHASES: [&str; 11] = [
    "duration",
    "rate",
    "rate-per-connection",
    "ramp-to",
    "arrival",
    "pipeline",
    "size",
    "fragments",
    "fragment-gap",
    "heartbeat",
    "heartbeat-phase",
];

/// A flag, and those of an earlier layer that it takes the place of, besides itself: the layers are
/// the file's top, one of its phases, the command line.
const DISPLACES: [(&str, &[&str]); 5] = [
    ("rate", &["rate-per-connection", "pipeline"]),
    ("rate-per-connection", &["rate", "pipeline", "ramp-to"]),
    ("pipeline", &["rate", "rate-per-connection", "ramp-to", "arrival"]),
    ("text", &["binary"]),
    ("binary", &["text"]),
];

/// A phase as its file has it: the whole command line that it stands for.
#[derive(Clone, Debug)]
pub struct PhaseArgs {
    /// Its name.
    pub name: String,
    /// Where it begins: `FILE:LINE`.
    pub place: String,
    /// Everything that holds in it.
    pub args: Args,
}

/// Why a command line was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A flag or its value.
    #[error(transparent)]
    Flag(#[from] clap::Error),
    /// The scenario file.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

/// One key as a flag.
#[derive(Clone, Debug)]
struct Flag {
    /// The flag's name without its dashes; `url` is the argument without a name.
    key: String,
    words: Vec<OsString>,
}

impl Cli {
    /// Reads a command line, its first word being the program's name, and the scenario that it
    /// names.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, ReadError> {
        let words: Vec<OsString> = words.into_iter().collect();
        let matches = Self::command().try_get_matches_from(&words)?;
        let cli = Self::from_arg_matches(&matches)?;
        let Some(path) = cli.args.scenario.clone().filter(|_| cli.command.is_none()) else {
            return Ok(cli);
        };
        let given = Self::command();
        let given = given.get_arguments().filter(|arg| {
            matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        });
        let given: Vec<&str> = given.map(name_of).collect();
        let text = input::text("--scenario", &path)?;
        let file = File { path: &path, text: &text };
        let (top, phases) = file.read()?;
        let line = |layers: &[&[Flag]]| {
            let kept = remaining(layers, &given);
            let program = words.first().cloned().into_iter();
            let all = program.chain(kept).chain(words.iter().skip(1).cloned());
            Self::try_parse_from_matched(all, &path)
        };
        let mut cli = line(&[&top])?;
        for (name, place, flags) in phases {
            let args = line(&[&top, &flags])?.args;
            cli.args.phases.push(PhaseArgs { name, place, args });
        }
        Ok(cli)
    }

    fn try_parse_from_matched(
        words: impl Iterator<Item = OsString>,
        path: &Path,
    ) -> Result<Self, ReadError> {
        // Each value was read before: only flags that do not go together are left.
        let matches = Self::command().try_get_matches_from(words);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            let input = format!("--scenario {}", path.display());
            ReadError::Usage(UsageError {
                input,
                rule: rule_of(&error),
                remedy: "drop one of them".to_owned(),
            })
        })
    }
}

/// The words of all flags that no later layer displaces. `given` are the command line's.
fn remaining(layers: &[&[Flag]], given: &[&str]) -> Vec<OsString> {
    let displaces = |later: &str, key: &str| {
        let others = DISPLACES.iter().find(|(flag, _)| *flag == later);
        later == key || others.is_some_and(|(_, others)| others.contains(&key))
    };
    let mut words = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let later = || layers[at + 1..].iter().copied().flatten().map(|flag| flag.key.as_str());
        let stays = |flag: &&Flag| {
            !later().chain(given.iter().copied()).any(|later| displaces(later, &flag.key))
        };
        words.extend(layer.iter().filter(stays).flat_map(|flag| flag.words.clone()));
    }
    words
}

fn name_of(arg: &clap::Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// What clap says was wrong, without its tips and usage.
fn rule_of(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

/// A scenario file and where it stands.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

/// Name, place and flags of each phase.
type Phases = Vec<(String, String, Vec<Flag>)>;

impl File<'_> {
    /// `FILE:LINE` of a place in it.
    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        format!("{}:{}", self.path.display(), before.matches('\n').count() + 1)
    }

    fn read(&self) -> Result<(Vec<Flag>, Phases), UsageError> {
        let table = DeTable::parse(self.text).or_else(|error| {
            let place = self.place(&error.span().unwrap_or_default());
            refuse(place, format!("it is no TOML: {}", error.message()), "see toml.io for its form")
        })?;
        let (mut top, mut phases) = (Vec::new(), Vec::new());
        for (key, value) in in_order(table.get_ref()) {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("phase", DeValue::Array(tables)) => {
                    for (at, table) in tables.iter().enumerate() {
                        phases.push(self.phase(at, table)?);
                    }
                }
                ("phase", _) => {
                    let place = self.place(&key.span());
                    return refuse(place, "a phase is a table", "write [[phase]] above its keys");
                }
                (name, _) => top.push(self.flag(name, key, value)?),
            }
        }
        self.check_names(&phases)?;
        Ok((top, phases))
    }

    fn check_names(&self, phases: &Phases) -> Result<(), UsageError> {
        if phases.len() > MAX_PHASES {
            let input = format!("{}: {} phases", self.path.display(), phases.len());
            return refuse(input, format!("over {MAX_PHASES}"), "have fewer, or several runs");
        }
        let mut seen = HashMap::new();
        for (name, place, _) in phases {
            if let Some(first) = seen.insert(name, place) {
                return refuse(
                    format!("{place}: phase '{name}'"),
                    format!("the phase at {first} has the same name"),
                    "give each a name of its own",
                );
            }
        }
        Ok(())
    }

    fn phase(
        &self,
        at: usize,
        table: &Spanned<DeValue<'_>>,
    ) -> Result<(String, String, Vec<Flag>), UsageError> {
        let place = self.place(&table.span());
        let DeValue::Table(keys) = table.get_ref() else {
            return refuse(place, "a phase is a table", "write [[phase]] above its keys");
        };
        let (mut name, mut flags) = (format!("phase-{}", at + 1), Vec::new());
        for (key, value) in in_order(keys) {
            let input = || format!("{}: {}", self.place(&key.span()), key.get_ref());
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("name", DeValue::String(text)) => name = phase_name(&input(), text)?,
                ("name", _) => return refuse(input(), "a name is a text", "put it into quotes"),
                (text, _) if OF_PHASES.contains(&text) || text == "interleave-ping" => {
                    flags.push(self.flag(text, key, value)?);
                }
                (text, _) => {
                    // Unknown anywhere, or at home at the file's top.
                    self.flag(text, key, value)?;
                    return refuse(
                        input(),
                        "it holds for the whole run, not for one phase",
                        format!(
                            "put it above the first [[phase]]; phases have name, {} and \
                             interleave-ping",
                            OF_PHASES.join(", ")
                        ),
                    );
                }
            }
        }
        Ok((name, place, flags))
    }

    /// A key as the flag of its name, its value tried.
    fn flag(
        &self,
        name: &str,
        key: &Spanned<impl Sized>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Flag, UsageError> {
        let place = self.place(&key.span());
        let command = Args::command();
        let known = |name: &str| {
            let no_flag = ["scenario", "help", "version"].contains(&name);
            command.get_arguments().find(|arg| !no_flag && name_of(arg) == name)
        };
        let Some(arg) = known(name) else {
            let dashes = name.replace('_', "-");
            let remedy = match known(&dashes) {
                Some(_) => format!("write {dashes}"),
                None => "use the names of the flags that loadgen --help lists".to_owned(),
            };
            return refuse(format!("{place}: {name}"), "no flag has this name", remedy);
        };
        let shown = &self.text[value.span()];
        let input = format!("{place}: {name} = {shown}");
        let words = words_of(arg, &input, value.get_ref())?;
        let tried = std::iter::once(OsString::from("loadgen")).chain(words.iter().cloned());
        // A flag may need another beside it: that is asked when all are there.
        if let Err(error) = command.clone().try_get_matches_from(tried)
            && error.kind() != clap::error::ErrorKind::MissingRequiredArgument
        {
            let rule = error_of_value(&error);
            return refuse(input, rule, format!("write it as --{name} has it (loadgen --help)"));
        }
        Ok(Flag { key: name.to_owned(), words })
    }
}

/// A phase's name stands in tags of logs, where blanks and commas mean something.
fn phase_name(input: &str, text: &str) -> Result<String, UsageError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
        return refuse(
            format!("{input} = '{}'", text.escape_debug()),
            format!("a name has 1 to {MAX_NAME} letters, digits and -_.+"),
            "use another",
        );
    }
    Ok(text.to_owned())
}

/// Keys in the order in which they were written.
fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<toml::de::DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    keys
}

/// The reason that a value's own parser gave, or clap's.
fn error_of_value(error: &clap::Error) -> String {
    let own = std::error::Error::source(error).map(ToString::to_string);
    own.unwrap_or_else(|| {
        let text = error.to_string();
        let told = text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
        told.strip_prefix("error: ").unwrap_or(&told).to_owned()
    })
}

/// A value as words of a command line.
fn words_of(
    arg: &clap::Arg,
    input: &str,
    value: &DeValue<'_>,
) -> Result<Vec<OsString>, UsageError> {
    let name = name_of(arg);
    if let ArgAction::SetTrue = arg.get_action() {
        return match value {
            DeValue::Boolean(true) => Ok(vec![format!("--{name}").into()]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            _ => refuse(input, "it is on or off", "write true or false"),
        };
    }
    let word = |text: String| {
        let named = arg.get_long().is_some();
        OsString::from(if named { format!("--{name}={text}") } else { text })
    };
    match value {
        DeValue::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
            values.iter().map(|value| Ok(word(text_of(input, value.get_ref())?))).collect()
        }
        DeValue::Array(_) => refuse(input, "it has one value", "write it without brackets"),
        value => Ok(vec![word(text_of(input, value)?)]),
    }
}

fn text_of(input: &str, value: &DeValue<'_>) -> Result<String, UsageError> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        _ => refuse(
            input,
            format!("a {} means nothing here", value.type_str()),
            "write a number, or a text in quotes",
        ),
    }
}

/// The plan of a run in phases: each is checked as if it were the whole run.
pub(super) fn plan(
    phases: &[PhaseArgs],
    one: impl Fn(&Args) -> Result<Plan, UsageError>,
) -> Result<Plan, UsageError> {
    let mut plans = Vec::new();
    let window = phases.iter().map(|phase| duration(&phase.args)).sum();
    for PhaseArgs { name, place, args } in phases {
        let args = &Args { window: Some(window), ..args.clone() };
        plans.push(one(args).map_err(|UsageError { input, rule, remedy }| UsageError {
            input: format!("{place}: phase '{name}': {input}"),
            rule,
            remedy,
        })?);
    }
    let named = phases.iter().zip(&plans);
    let named = named.map(|(of, plan)| PhasePlan { name: of.name.clone(), ..plan.as_phase() });
    let named: Vec<PhasePlan> = named.collect();
    let duration = named.iter().map(|phase| phase.duration).sum();
    Ok(Plan { phases: named, duration, ..plans.swap_remove(0) })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Pace;
    use super::*;
    use std::time::Duration;

    /// The plan of a file with these lines and this command line.
    fn plan(name: &str, text: &str, line: &str) -> Result<Plan, String> {
        let file = format!("loadgen-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        let words = format!("loadgen --scenario {} {line}", path.display());
        let read = Cli::read(words.split_whitespace().map(OsString::from));
        std::fs::remove_file(&path).unwrap();
        let plan = read.map_err(|error| error.to_string())?.args.plan();
        plan.map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
            .map_err(|error| error.replace(&path.display().to_string(), "FILE"))
    }

    const DAY: &str = "
        url = 'ws://h:1/x'
        connections = '2k'
        warmup = '1s'
        header = ['X-A: 1', 'X-B: 2']
        size = 64
        verify = true
        rate = 100

        [[phase]]
        name = 'quiet'
        duration = '2s'

        [[phase]]
        name = 'rush'
        duration = '3s'
        ramp-to = 900.5
        size = '64:90%,4KiB:10%'
        fragments = 2

        [[phase]]
        pipeline = 4
        duration = '1s'
        heartbeat = 'off'
    ";

    #[test]
    fn keys_are_flags_and_phases_differ() {
        let plan = plan("day", DAY, "").unwrap();
        assert_eq!((plan.connections, plan.verify, plan.duration.as_secs()), (2000, true, 6));
        assert_eq!((plan.path(0).as_str(), plan.request.headers.len()), ("/x", 2));
        let names: Vec<_> = plan.phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["quiet", "rush", "phase-3"]);
        let [quiet, rush, third] = &plan.phases[..] else { panic!("{plan:?}") };
        assert_eq!(
            (quiet.mean_rate(), rush.mean_rate(), third.mean_rate()),
            (Some(100.0), Some(500.25), None)
        );
        assert_eq!((quiet.size.max, rush.size.max, third.size.max), (64, 4096, 64));
        assert_eq!((quiet.fragmentation.fragments, rush.fragmentation.fragments), (1, 2));
        assert_eq!(third.pace, Pace::Closed { in_flight: 4 });
        assert!(quiet.heartbeat.is_some() && third.heartbeat.is_none());
        assert_eq!(plan.mean_rate(), None, "a closed loop has none");
    }

    #[test]
    fn flags_override_the_file_and_its_phases() {
        let other = plan("override", DAY, "-c 5 --duration 1s ws://other:2/ -H X-C:3").unwrap();
        assert_eq!((other.connections, other.request.headers.len()), (5, 1));
        assert_eq!((other.duration, other.path(0).as_str()), (Duration::from_secs(3), "/"));
        assert_eq!(other.phases[1].size.max, 4096, "what no flag names stays");
        let line = "--pipeline 2";
        let closed = plan("pipeline", DAY, line).unwrap();
        assert!(closed.phases.iter().all(|phase| phase.pace == Pace::Closed { in_flight: 2 }));
        let even = plan("rate", DAY, "--rate 7 --ramp-to 7").unwrap();
        assert_eq!(even.mean_rate(), Some(7.0));
    }

    #[test]
    fn a_file_without_phases_is_a_run() {
        let plan = plan("plain", "rate = 50\nduration = '2s'\ntext = false", "").unwrap();
        assert_eq!((plan.phases.len(), plan.mean_rate()), (0, Some(50.0)));
        assert_eq!(plan.all_phases().len(), 1);
    }

    /// A file, and what its error must say: the place, the key, the rule, the remedy.
    const REFUSED: [(&str, &[&str]); 20] = [
        ("rate = 5\nrte = 5", &[":2: rte: no flag has this name", "--help"]),
        ("rate_per_connection = 5", &[":1: rate_per_connection", "write rate-per-connection"]),
        ("\nrate = 'fast'", &[":2: rate = 'fast'", "number a second", "--rate has it"]),
        ("rate = true", &[":1: rate = true", "boolean means nothing here"]),
        ("rate = [1, 2]", &["it has one value", "without brackets"]),
        ("verify = 'yes'", &["it is on or off", "true or false"]),
        ("mode = 'chat'", &[":1: mode", "chat", "echo, broadcast, idle"]),
        ("rate = 1\nrate = 2", &[":2: it is no TOML", "duplicate key"]),
        ("rate = ", &[":1: it is no TOML"]),
        ("scenario = 'x'", &["scenario: no flag has this name"]),
        ("size = {a = 1}", &["a table means nothing here"]),
        ("phase = 3", &[":1: a phase is a table", "[[phase]]"]),
        ("[phase]\nrate = 3", &["a phase is a table", "[[phase]]"]),
        ("[[phase]]\nname = 3", &[":2: name", "a name is a text"]),
        ("[[phase]]\nname = 'a b'", &["'a b'", "letters, digits"]),
        ("[[phase]]\nname='a'\n[[phase]]\nname='a'", &[":3: phase 'a'", ":1 has the same name"]),
        ("[[phase]]\nconnections = 3", &[":2: connections", "whole run", "above the first"]),
        ("[[phase]]\nfoo = 3", &[":2: foo: no flag has this name"]),
        (
            "rate = 5\n[[phase]]\nname = 'late'\nsize = 2\nfragments = 4",
            &["FILE:2: phase 'late': --fragments 4 with --size 2", "one byte", "fewer"],
        ),
        ("text = true\nbinary = true", &["--text", "--binary", "cannot be used with"]),
    ];

    #[test]
    fn refusals_name_file_line_key_rule_and_remedy() {
        for (at, (text, parts)) in REFUSED.into_iter().enumerate() {
            let error = plan(&format!("bad-{at}"), text, "").unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}: '{part}' is not in: {error}");
            }
        }
        let words = ["loadgen", "--scenario", "/no/such/file"].map(OsString::from);
        let error = Cli::read(words).unwrap_err().to_string();
        assert!(error.contains("--scenario /no/such/file: it cannot be read"), "{error}");
    }
}
