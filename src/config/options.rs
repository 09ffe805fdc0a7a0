//! Options as text, before any rule is applied. On the command line each is a flag, and an
//! environment variable of the same name with `PLIMSOLL_` in front.

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
}
