//! Rooms, tokens and the admin API as they were asked for.

use std::time::Duration;

use super::error::ConfigError;
use super::options::Options;
use super::secret::Secret;
use super::{Config, token};

/// What stands in an error where a secret would.
const HIDDEN: &str = "not shown";
/// Public keys in files of their own: the old and the new one of a change, for each algorithm.
const MAX_PUBLIC_KEYS: usize = 8;

/// Rooms: who is let in, and what may be done where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rooms {
    /// Whether a client without a token is let in.
    pub open: bool,
    /// How tokens are checked.
    pub tokens: Tokens,
    /// Options by namespace; the one without a name is for channels without one.
    pub namespaces: Vec<Namespace>,
}

impl Rooms {
    /// Whether there are rooms: somebody could come in.
    pub fn are_wanted(&self) -> bool {
        self.open || self.tokens.has_keys()
    }
}

/// Keys and rules of tokens.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tokens {
    /// For HS256.
    pub hmac_secret: Option<Secret>,
    /// PEM files with public keys for RS256, ES256 or `EdDSA`.
    pub public_keys: Vec<String>,
    /// A file with a JSON Web Key Set.
    pub jwks: Option<String>,
    /// One of a token's `aud` must be this.
    pub audience: Option<String>,
    /// A token's `iss` must be this.
    pub issuer: Option<String>,
    /// The cookie that may hold a token.
    pub cookie: Option<String>,
}

impl Tokens {
    /// Whether a token could be checked.
    pub fn has_keys(&self) -> bool {
        self.hmac_secret.is_some() || !self.public_keys.is_empty() || self.jwks.is_some()
    }
}

/// Who may do a thing in a namespace, by Centrifugo's `allow_..._for_...`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Allow {
    /// `client`: whoever has a user.
    pub client: bool,
    /// `anonymous`: whoever has none.
    pub anonymous: bool,
    /// `subscriber`: whoever is in the room.
    pub subscriber: bool,
}

/// What becomes of a slow member.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Slow {
    /// Its connection is closed with 3008.
    #[default]
    Close,
    /// It gets the newest publication once it has caught up.
    Latest,
    /// It is taken out of the room and told so.
    Drop,
}

/// One `[[namespace]]`. What is not written is off: nobody may, nothing is kept.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by its own name")]
pub struct Namespace {
    /// What stands before the colon of its channels.
    pub name: String,
    /// `allow_subscribe_for_...`; a subscriber needs no leave to subscribe.
    pub subscribe: Allow,
    /// `allow_publish_for_...`.
    pub publish: Allow,
    /// `allow_history_for_...`.
    pub history: Allow,
    /// `allow_presence_for_...`.
    pub presence_for: Allow,
    /// Whether presence is kept.
    pub presence: bool,
    /// Whether members are told who joins and leaves.
    pub join_leave: bool,
    /// Whether a channel's name may end in the users it is for: `NAME#1,2`.
    pub allow_user_limited_channels: bool,
    /// Whether members recover what they missed.
    pub force_recovery: bool,
    /// Publications kept.
    pub history_size: usize,
    /// How long each is kept.
    pub history_ttl: Option<Duration>,
    /// How long an empty room keeps its position; `None`: the default.
    pub history_meta_ttl: Option<Duration>,
    /// What becomes of a slow member.
    pub slow: Slow,
    /// Publications of one connection in a second; 0: any number.
    pub publish_rate: u32,
}

impl Config {
    pub(super) fn set_rooms(&mut self, raw: &Options) -> Result<(), ConfigError> {
        self.rooms.tokens = Tokens {
            hmac_secret: secret("--token-hmac-secret", raw.token_hmac_secret.as_ref())?,
            public_keys: raw.token_public_key.clone(),
            jwks: raw.token_jwks.clone(),
            audience: raw.token_audience.clone(),
            issuer: raw.token_issuer.clone(),
            cookie: raw.token_cookie.clone(),
        };
        self.rooms.open = raw.rooms_open;
        self.rooms.namespaces.clone_from(&raw.namespaces);
        self.api_key = secret("--api-key", raw.api_key.as_ref())?;
        self.check_tokens()?;
        self.check_namespaces(raw.config.as_deref().unwrap_or_default())?;
        self.check_open(raw.i_know)?;
        self.check_api_key()
    }

    fn check_tokens(&self) -> Result<(), ConfigError> {
        let Tokens { public_keys, audience, issuer, cookie, .. } = &self.rooms.tokens;
        if let Some(file) = public_keys.get(MAX_PUBLIC_KEYS) {
            let rule = format!("more than {MAX_PUBLIC_KEYS} files");
            let remedy = "put the keys with their kid into one set for --token-jwks";
            return Err(ConfigError::new("--token-public-key", file, rule, remedy));
        }
        let need_keys = [
            ("--token-audience", audience),
            ("--token-issuer", issuer),
            ("--token-cookie", cookie),
        ];
        for (option, value) in need_keys {
            if let Some(text) = value
                && !self.rooms.tokens.has_keys()
            {
                let rule = "there is no key that a token could be checked by";
                let remedy = "add --token-hmac-secret, --token-public-key or --token-jwks";
                return Err(ConfigError::new(option, text, rule, remedy));
            }
        }
        cookie.as_ref().map_or(Ok(()), |name| self.check_cookie(name))
    }

    /// Namespaces of rooms that are not served are a mistake.
    fn check_namespaces(&self, file: &str) -> Result<(), ConfigError> {
        if self.rooms.namespaces.is_empty() || self.rooms.are_wanted() {
            return Ok(());
        }
        let rule = "it has namespaces of rooms, and nobody could come in";
        let remedy = "add a key for tokens, such as --token-hmac-secret, or --rooms-open";
        Err(ConfigError::new("--config", file, rule, remedy))
    }

    /// A browser sends a cookie whatever page opens the connection: without a list of origins any
    /// page would act as its visitor.
    fn check_cookie(&self, name: &str) -> Result<(), ConfigError> {
        token("--token-cookie", name, "token")?;
        if self.allow_origin.is_empty() || self.allow_origin.iter().any(|origin| origin == "*") {
            let rule = "any page could use its visitors' cookies";
            let remedy = "name the pages that may with --allow-origin https://example.org";
            return Err(ConfigError::new("--token-cookie", name, rule, remedy));
        }
        Ok(())
    }

    fn check_open(&self, known: bool) -> Result<(), ConfigError> {
        if self.rooms.open && !known && !self.listen.ip().is_loopback() {
            return Err(ConfigError::new(
                "--rooms-open",
                &self.listen.to_string(),
                "whoever reaches this address could read and write in every room",
                "use --token-hmac-secret, listen on 127.0.0.1, or say --i-know",
            ));
        }
        Ok(())
    }

    fn check_api_key(&self) -> Result<(), ConfigError> {
        let Some(key) = &self.api_key else { return Ok(()) };
        if !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = "a header field could not carry it";
            let remedy = "use letters, digits and signs of ASCII without spaces";
            return Err(ConfigError::new("--api-key", HIDDEN, rule, remedy));
        }
        if self.admin.is_none() {
            let rule = "the API is served on the admin address, which is off";
            let remedy = "give --admin an address, or leave the key out";
            return Err(ConfigError::new("--api-key", HIDDEN, rule, remedy));
        }
        Ok(())
    }
}

fn secret(option: &'static str, given: Option<&Secret>) -> Result<Option<Secret>, ConfigError> {
    match given {
        Some(secret) if secret.expose().is_empty() => {
            let remedy = "give a long random one, such as openssl rand -hex 32 prints";
            Err(ConfigError::new(option, "", "an empty secret keeps nobody out", remedy))
        }
        given => Ok(given.cloned()),
    }
}
