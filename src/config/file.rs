//! The configuration file: TOML with the names of the flags, and a `[[namespace]]` for each
//! namespace of rooms. Flags and environment go before it.

use toml::{Table, Value};

use super::error::ConfigError;
use super::options::{Options, Slot};
use super::rooms::{Allow, Namespace, Slow};
use super::secret::Secret;
use super::units::{parse_count, parse_duration};

/// Namespaces that one server may have.
const MAX_NAMESPACES: usize = 1000;
/// Bytes of a namespace's name.
const MAX_NAME: usize = 64;
/// What errors of the file are shown under.
const OPTION: &str = "--config";

impl Options {
    /// Fills in from the text of the file at `path` what flags and environment left open.
    ///
    /// # Errors
    /// It is not TOML, or a name or a value in it is not one of those that there are. No value of
    /// a secret is shown.
    pub fn fill_from_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|e| syntax(path, text, &e))?;
        for (key, value) in plain_keys(path, table)? {
            if key == "namespace" {
                self.namespaces = namespaces(path, value)?;
                continue;
            }
            let named = |(name, _): &(&str, Slot<'_>)| *name == key;
            let Some((_, slot)) = self.slots().into_iter().find(named) else {
                let remedy = "use the names of the flags without their dashes in front (--help)";
                return Err(wrong(path, &key, "no option has this name", remedy));
            };
            fill(slot, value).ok_or_else(|| {
                let rule = "its value has another type than the flag's";
                wrong(path, &key, rule, "write a string, a whole number, true, or a list of them")
            })?;
        }
        Ok(())
    }
}

/// The line and what is wrong there, without the line itself: it may hold a secret.
fn syntax(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    let rule = format!("not TOML: {}", error.message().trim_end().replace('\n', ", "));
    ConfigError::new(OPTION, &format!("{path}:{line}"), rule, "see https://toml.io")
}

fn wrong(path: &str, what: &str, rule: &str, remedy: &str) -> ConfigError {
    ConfigError::new(OPTION, &format!("{path}: {what}"), rule.to_owned(), remedy.to_owned())
}

/// Names with underscores, however they were written; the flags have dashes, Centrifugo has not.
fn plain_keys(path: &str, table: Table) -> Result<Vec<(String, Value)>, ConfigError> {
    let mut plain: Vec<(String, Value)> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key = key.replace('-', "_");
        if plain.iter().any(|(other, _)| *other == key) {
            return Err(wrong(path, &key, "it is written twice", "leave one of them out"));
        }
        plain.push((key, value));
    }
    Ok(plain)
}

/// Puts a value where none is yet; `None` if it is of a wrong type.
fn fill(slot: Slot<'_>, value: Value) -> Option<()> {
    match (slot, value) {
        (Slot::Text(slot), value) => {
            let text = text(value)?;
            slot.get_or_insert(text);
        }
        (Slot::Secret(slot), Value::String(text)) => {
            slot.get_or_insert_with(|| Secret::from(text));
        }
        (Slot::Switch(slot), Value::Boolean(on)) => *slot |= on,
        (Slot::List(slot), value) => {
            let items = if let Value::Array(items) = value { items } else { vec![value] };
            let texts: Vec<String> = items.into_iter().map(text).collect::<Option<_>>()?;
            if slot.is_empty() {
                *slot = texts;
            }
        }
        (Slot::Secret(_) | Slot::Switch(_), _) => return None,
    }
    Some(())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A namespace in an error.
fn shown(name: &str) -> String {
    if name.is_empty() { "namespace without a name".into() } else { format!("namespace {name}") }
}

fn namespaces(path: &str, value: Value) -> Result<Vec<Namespace>, ConfigError> {
    let Value::Array(items) = value else {
        let remedy = "begin each with [[namespace]]";
        return Err(wrong(path, "namespace", "not a list of tables", remedy));
    };
    if items.len() > MAX_NAMESPACES {
        let rule = format!("more than {MAX_NAMESPACES}");
        return Err(wrong(path, "namespace", &rule, "let rooms of one kind share a namespace"));
    }
    let mut all: Vec<Namespace> = Vec::with_capacity(items.len());
    for item in items {
        let Value::Table(table) = item else {
            let remedy = "begin each with [[namespace]]";
            return Err(wrong(path, "namespace", "not a list of tables", remedy));
        };
        let namespace = namespace(path, table)?;
        if all.iter().any(|other| other.name == namespace.name) {
            let what = shown(&namespace.name);
            return Err(wrong(path, &what, "it is written twice", "leave one of them out"));
        }
        all.push(namespace);
    }
    Ok(all)
}

fn namespace(path: &str, table: Table) -> Result<Namespace, ConfigError> {
    let mut fields = plain_keys(path, table)?;
    let named = |(key, _): &(String, Value)| key == "name";
    let name = fields.iter().position(named).map(|at| fields.remove(at).1);
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = match name {
        Some(Value::String(name)) if name.len() <= MAX_NAME && name.bytes().all(of_name) => name,
        _ => {
            let rule = format!("it has no name of up to {MAX_NAME} letters, digits and -_.");
            let remedy = "write name = \"chat\", or name = \"\" for channels without a namespace";
            return Err(wrong(path, "namespace", &rule, remedy));
        }
    };
    let mut namespace = Namespace { name, ..Namespace::default() };
    for (key, value) in fields {
        let what = format!("{}, {key}", shown(&namespace.name));
        match set(&mut namespace, &key, &value) {
            Some(true) => {}
            Some(false) => {
                let (rule, remedy) = expected(&key);
                return Err(wrong(path, &what, rule, remedy));
            }
            None => {
                let remedy = "docs/ROOMS.md lists the options of a namespace";
                return Err(wrong(path, &what, "no option of a namespace has this name", remedy));
            }
        }
    }
    consistent(path, &namespace)?;
    Ok(namespace)
}

/// Sets one option: whether its value fits; `None` if there is no such option.
fn set(to: &mut Namespace, key: &str, value: &Value) -> Option<bool> {
    if let Some(slot) = allowed(to, key) {
        return Some(put(slot, value.as_bool()));
    }
    let duration = || value.as_str().and_then(|text| parse_duration(OPTION, text).ok());
    Some(match key {
        "presence" => put(&mut to.presence, value.as_bool()),
        "join_leave" => put(&mut to.join_leave, value.as_bool()),
        "force_recovery" => put(&mut to.force_recovery, value.as_bool()),
        "allow_user_limited_channels" => put(&mut to.allow_user_limited_channels, value.as_bool()),
        "history_size" => put(&mut to.history_size, count(value)),
        "history_ttl" => put(&mut to.history_ttl, duration()),
        "history_meta_ttl" => put(&mut to.history_meta_ttl, duration()),
        "publish_rate" => {
            put(&mut to.publish_rate, count(value).and_then(|count| u32::try_from(count).ok()))
        }
        "slow" => put(
            &mut to.slow,
            match value.as_str() {
                Some("close") => Some(Slow::Close),
                Some("latest") => Some(Slow::Latest),
                Some("drop") => Some(Slow::Drop),
                _ => None,
            },
        ),
        _ => return None,
    })
}

/// The switch that a name like `allow_publish_for_subscriber` means.
fn allowed<'n>(to: &'n mut Namespace, key: &str) -> Option<&'n mut bool> {
    let (what, who) = key.strip_prefix("allow_")?.split_once("_for_")?;
    let allow: &mut Allow = match what {
        "subscribe" => &mut to.subscribe,
        "publish" => &mut to.publish,
        "history" => &mut to.history,
        "presence" => &mut to.presence_for,
        _ => return None,
    };
    match who {
        "client" => Some(&mut allow.client),
        "anonymous" => Some(&mut allow.anonymous),
        "subscriber" if what != "subscribe" => Some(&mut allow.subscriber),
        _ => None,
    }
}

fn put<T>(slot: &mut T, value: Option<T>) -> bool {
    value.map(|value| *slot = value).is_some()
}

fn count(value: &Value) -> Option<usize> {
    match value {
        Value::Integer(number) => usize::try_from(*number).ok(),
        Value::String(text) => parse_count(OPTION, text).ok(),
        _ => None,
    }
}

fn expected(key: &str) -> (&'static str, &'static str) {
    match key {
        "history_size" | "publish_rate" => ("not a count", "write a whole number such as 100"),
        "history_ttl" | "history_meta_ttl" => {
            ("not a duration", "write a string with a unit, such as \"5m\"")
        }
        "slow" => ("not a policy", "write \"close\", \"latest\" or \"drop\""),
        _ => ("neither true nor false", "write true or false"),
    }
}

fn consistent(path: &str, namespace: &Namespace) -> Result<(), ConfigError> {
    let Namespace { name, history_size, history_ttl, force_recovery, .. } = namespace;
    let what = shown(name);
    let history = *history_size > 0;
    if history != history_ttl.is_some() {
        let remedy = "write history_size = 100 and history_ttl = \"5m\", or neither";
        return Err(wrong(path, &what, "a history has both a size and an age", remedy));
    }
    if *force_recovery && !history {
        let remedy = "add history_size and history_ttl, or leave force_recovery out";
        return Err(wrong(path, &what, "what was missed is recovered from a history", remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Options, ConfigError> {
        let mut options = Options::default();
        options.fill_from_file("p.toml", text).map(|()| options)
    }

    #[test]
    fn names_are_the_flags_and_flags_go_first() {
        let text = r#"
            listen = "127.0.0.1:1"
            max-connections = 5000
            max_pending = "64KiB"
            no-pin = true
            allow-origin = ["https://a.b", "https://c.d"]
            subprotocol = "chat"
            token-hmac-secret = "s"
        "#;
        let options = read(text).unwrap();
        assert_eq!(options.listen.as_deref(), Some("127.0.0.1:1"));
        assert_eq!(options.max_connections.as_deref(), Some("5000"));
        assert_eq!(options.max_pending.as_deref(), Some("64KiB"));
        assert!(options.no_pin);
        assert_eq!(options.allow_origin, ["https://a.b", "https://c.d"]);
        assert_eq!(options.subprotocol, ["chat"]);
        assert_eq!(options.token_hmac_secret, Some(Secret::from("s")));
        let mut options = Options {
            listen: Some("[::1]:2".into()),
            subprotocol: vec!["mine".into()],
            token_hmac_secret: Some("flag".into()),
            ..Options::default()
        };
        options.fill_from_file("p.toml", text).unwrap();
        assert_eq!(options.listen.as_deref(), Some("[::1]:2"));
        assert_eq!(options.subprotocol, ["mine"]);
        assert_eq!(options.token_hmac_secret, Some("flag".into()));
        assert_eq!(read("").unwrap().listen, None);
    }

    /// A flag that nobody added to the slots could not stand in a file.
    #[test]
    fn every_flag_has_its_place_in_a_file() {
        use clap::Args;
        let command = Options::augment_args(clap::Command::new("plimsoll"));
        let mut options = Options::default();
        let slots: Vec<&str> = options.slots().into_iter().map(|(name, _)| name).collect();
        let flags: Vec<String> =
            command.get_arguments().map(|flag| flag.get_id().to_string()).collect();
        assert!(flags.len() > 20, "{flags:?}");
        for flag in flags.iter().filter(|flag| *flag != "config") {
            assert!(slots.contains(&flag.as_str()), "{flag}");
        }
    }

    #[test]
    fn a_namespace_in_centrifugos_words() {
        let options = read(
            r#"
            [[namespace]]
            name = "chat"
            presence = true
            join_leave = true
            force_recovery = true
            allow_user_limited_channels = true
            history-size = 50
            history_ttl = "2m"
            history_meta_ttl = "1h"
            allow_subscribe_for_client = true
            allow_publish_for_subscriber = true
            allow_history_for_anonymous = true
            allow_presence_for_client = true
            slow = "latest"
            publish_rate = 10
            [[namespace]]
            name = ""
            "#,
        );
        let allow = Allow::default();
        let chat = Namespace {
            name: "chat".into(),
            subscribe: Allow { client: true, ..allow },
            publish: Allow { subscriber: true, ..allow },
            history: Allow { anonymous: true, ..allow },
            presence_for: Allow { client: true, ..allow },
            presence: true,
            join_leave: true,
            allow_user_limited_channels: true,
            force_recovery: true,
            history_size: 50,
            history_ttl: Some(Duration::from_mins(2)),
            history_meta_ttl: Some(Duration::from_hours(1)),
            slow: Slow::Latest,
            publish_rate: 10,
        };
        assert_eq!(options.unwrap().namespaces, [chat, Namespace::default()]);
    }

    #[test]
    fn every_mistake_names_input_rule_and_remedy() {
        let space = |text: &str| format!("[[namespace]]\nname = \"a\"\n{text}\n");
        let cases = [
            ("listen = ".to_owned(), "p.toml:1'", "not TOML"),
            ("a = 1\nb = ]".to_owned(), "p.toml:2'", "not TOML"),
            ("listne = \"x\"".to_owned(), "p.toml: listne", "no option has this name"),
            ("config = \"x\"".to_owned(), "p.toml: config", "no option has this name"),
            ("listen = 1.5".to_owned(), "listen", "another type"),
            ("no-pin = \"yes\"".to_owned(), "no_pin", "another type"),
            ("api-key = 5".to_owned(), "api_key", "another type"),
            ("allow-origin = [true]".to_owned(), "allow_origin", "another type"),
            ("no-pin = true\nno_pin = true".to_owned(), "no_pin", "twice"),
            ("namespace = 1".to_owned(), "namespace", "[[namespace]]"),
            ("namespace = [1]".to_owned(), "namespace", "[[namespace]]"),
            ("[[namespace]]\n".to_owned(), "namespace", "name = \"chat\""),
            ("[[namespace]]\nname = \"a:b\"".to_owned(), "namespace", "has no name"),
            (space("") + &space(""), "namespace a", "twice"),
            (space("presence = 1"), "namespace a, presence", "neither true nor false"),
            (space("presense = true"), "namespace a, presense", "no option of a namespace"),
            (space("allow_subscribe_for_subscriber = true"), "for_subscriber", "no option"),
            (space("allow_all_for_client = true"), "allow_all", "no option"),
            (space("history_size = -1"), "history_size", "not a count"),
            (space("publish_rate = 5000000000"), "publish_rate", "not a count"),
            (space("history_ttl = 300"), "history_ttl", "with a unit"),
            (space("history_size = 5"), "namespace a", "both a size and an age"),
            (space("history_ttl = \"5m\""), "namespace a", "both a size and an age"),
            (space("force_recovery = true"), "namespace a", "recovered from a history"),
            (space("slow = \"never\""), "slow", "\"latest\""),
        ];
        for (text, input, rule) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with("--config '"), "{error}");
            assert!(error.contains(input) && error.contains(rule), "{text}: {error}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        for text in [
            "token-hmac-secret = \"hush hush",
            "token-hmac-secret = hush hush",
            "token-hmac-secret = [\"hush hush\"]",
            "api-key = { a = \"hush hush\" }",
        ] {
            let error = read(text).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hush"), "{said}");
        }
    }
}
