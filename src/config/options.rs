//! Options as text, before any rule is applied. On the command line each is a flag, and an
//! environment variable of the same name with `PLIMSOLL_` in front.

use super::rooms::Namespace;
use super::secret::Secret;

/// Raw options; what is absent gets its default.
#[derive(Clone, Default, Debug)]
#[cfg_attr(feature = "server", derive(clap::Args))]
pub struct Options {
    /// Address for WebSocket connections [default: 127.0.0.1:9001; port 0 picks one]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_LISTEN", value_name = "ADDR"))]
    pub listen: Option<String>,
    /// Address for health and metrics, or off [default: 127.0.0.1:9002]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_ADMIN", value_name = "ADDR|off"))]
    pub admin: Option<String>,
    /// Shards [default: auto: one for each core, more if --max-connections needs them]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_THREADS", value_name = "N|auto"))]
    pub threads: Option<String>,
    /// Let shards move between cores
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_NO_PIN",
        value_parser = clap::builder::FalseyValueParser::new()))]
    pub no_pin: bool,
    /// Open connections at most [default: what one shard for each core can hold]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_MAX_CONNECTIONS", value_name = "N"))]
    pub max_connections: Option<String>,
    /// Open connections of one address, or of one IPv6 /64, at most, or off [default: off]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_MAX_PER_ADDRESS", value_name = "N|off")
    )]
    pub max_per_address: Option<String>,
    /// Largest message; each of its frames counts for 64 bytes at least, so that under 64 bytes
    /// no message may be fragmented [default: 1MiB]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_MAX_MESSAGE", value_name = "SIZE"))]
    pub max_message: Option<String>,
    /// Bytes one peer may leave unread [default: 256KiB]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_MAX_PENDING", value_name = "SIZE"))]
    pub max_pending: Option<String>,
    /// Bytes held for all peers [default: 1GiB or a quarter of the memory, the smaller]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_MAX_BUFFERED", value_name = "SIZE"))]
    pub max_buffered: Option<String>,
    /// Origin that browsers may come from; may be repeated [default: any]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')
    )]
    pub allow_origin: Vec<String>,
    /// Subprotocol to agree on, the most wanted first; may be repeated [default: none]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_SUBPROTOCOL", value_name = "NAME", value_delimiter = ',')
    )]
    pub subprotocol: Vec<String>,
    /// From accept to the finished handshake [default: 10s]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_HANDSHAKE_TIMEOUT", value_name = "TIME")
    )]
    pub handshake_timeout: Option<String>,
    /// From the last byte heard to the server's ping, or off [default: 25s, and longer with so many
    /// connections that a core would begin over 5,000 pings a second in the mean]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_PING_INTERVAL", value_name = "TIME"))]
    pub ping_interval: Option<String>,
    /// From the server's ping to an answer [default: 8s]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_PONG_TIMEOUT", value_name = "TIME"))]
    pub pong_timeout: Option<String>,
    /// Close who sends no message for so long [default: off]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_IDLE_TIMEOUT", value_name = "TIME"))]
    pub idle_timeout: Option<String>,
    /// From our close frame to the peer's [default: 5s]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_CLOSE_TIMEOUT", value_name = "TIME"))]
    pub close_timeout: Option<String>,
    /// From SIGTERM to the end at the latest [default: 10s]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_DRAIN_TIMEOUT", value_name = "TIME"))]
    pub drain_timeout: Option<String>,
    /// TCP congestion control [default: the system's]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_CONGESTION", value_name = "NAME"))]
    pub congestion: Option<String>,
    /// A shard's read buffer [default: 128KiB]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_READ_BUFFER", value_name = "SIZE"))]
    pub read_buffer: Option<String>,
    /// Secret that HS256 tokens are signed with; by the environment no list of processes shows it
    #[cfg_attr(
        feature = "server",
        arg(
            long,
            env = "PLIMSOLL_TOKEN_HMAC_SECRET",
            hide_env_values = true,
            value_name = "SECRET"
        )
    )]
    pub token_hmac_secret: Option<Secret>,
    /// PEM file with a public key for RS256, ES256 or `EdDSA` tokens; may be repeated
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_TOKEN_PUBLIC_KEY", value_name = "FILE", value_delimiter = ',')
    )]
    pub token_public_key: Vec<String>,
    /// JSON file with a set of keys (JWKS), of which a token's kid chooses one
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_TOKEN_JWKS", value_name = "FILE"))]
    pub token_jwks: Option<String>,
    /// What the aud of every token must hold [default: anything]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_TOKEN_AUDIENCE", value_name = "NAME")
    )]
    pub token_audience: Option<String>,
    /// What the iss of every token must be [default: anything]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_TOKEN_ISSUER", value_name = "NAME"))]
    pub token_issuer: Option<String>,
    /// Cookie that may hold a token; needs --allow-origin [default: none]
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_TOKEN_COOKIE", value_name = "NAME"))]
    pub token_cookie: Option<String>,
    /// Let clients without a token into rooms: to try things out, on a loopback address
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_ROOMS_OPEN",
        value_parser = clap::builder::FalseyValueParser::new()))]
    pub rooms_open: bool,
    /// Open the rooms on an address that others can reach
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_I_KNOW",
        value_parser = clap::builder::FalseyValueParser::new()))]
    pub i_know: bool,
    /// Key for the API on the admin address; by the environment no list of processes shows it
    /// [default: the API is off]
    #[cfg_attr(
        feature = "server",
        arg(long, env = "PLIMSOLL_API_KEY", hide_env_values = true, value_name = "KEY")
    )]
    pub api_key: Option<Secret>,
    /// TOML file with the names of these flags, and a `[[namespace]]` for each kind of room
    #[cfg_attr(feature = "server", arg(long, env = "PLIMSOLL_CONFIG", value_name = "FILE"))]
    pub config: Option<String>,
    /// Options by namespace: from a file only.
    #[cfg_attr(feature = "server", arg(skip))]
    pub namespaces: Vec<Namespace>,
}

/// Where a named option's value goes.
#[cfg(feature = "server")]
pub(super) enum Slot<'o> {
    Text(&'o mut Option<String>),
    Secret(&'o mut Option<Secret>),
    List(&'o mut Vec<String>),
    Switch(&'o mut bool),
}

#[cfg(feature = "server")]
impl Options {
    /// Every option but the file, by its name with underscores.
    pub(super) fn slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        vec![
            ("listen", Slot::Text(&mut self.listen)),
            ("admin", Slot::Text(&mut self.admin)),
            ("threads", Slot::Text(&mut self.threads)),
            ("no_pin", Slot::Switch(&mut self.no_pin)),
            ("max_connections", Slot::Text(&mut self.max_connections)),
            ("max_per_address", Slot::Text(&mut self.max_per_address)),
            ("max_message", Slot::Text(&mut self.max_message)),
            ("max_pending", Slot::Text(&mut self.max_pending)),
            ("max_buffered", Slot::Text(&mut self.max_buffered)),
            ("allow_origin", Slot::List(&mut self.allow_origin)),
            ("subprotocol", Slot::List(&mut self.subprotocol)),
            ("handshake_timeout", Slot::Text(&mut self.handshake_timeout)),
            ("ping_interval", Slot::Text(&mut self.ping_interval)),
            ("pong_timeout", Slot::Text(&mut self.pong_timeout)),
            ("idle_timeout", Slot::Text(&mut self.idle_timeout)),
            ("close_timeout", Slot::Text(&mut self.close_timeout)),
            ("drain_timeout", Slot::Text(&mut self.drain_timeout)),
            ("congestion", Slot::Text(&mut self.congestion)),
            ("read_buffer", Slot::Text(&mut self.read_buffer)),
            ("token_hmac_secret", Slot::Secret(&mut self.token_hmac_secret)),
            ("token_public_key", Slot::List(&mut self.token_public_key)),
            ("token_jwks", Slot::Text(&mut self.token_jwks)),
            ("token_audience", Slot::Text(&mut self.token_audience)),
            ("token_issuer", Slot::Text(&mut self.token_issuer)),
            ("token_cookie", Slot::Text(&mut self.token_cookie)),
            ("rooms_open", Slot::Switch(&mut self.rooms_open)),
            ("i_know", Slot::Switch(&mut self.i_know)),
            ("api_key", Slot::Secret(&mut self.api_key)),
        ]
    }
}
