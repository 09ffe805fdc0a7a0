//! The server's command line: arguments into a configuration, a server, and its end.
//!
//! Exit codes: 0 ended as it was told to, 1 a runtime error, 2 a mistake on the command line.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use plimsoll::config::{Config, ConfigError, Options};
use plimsoll::server::{Server, StartError, read_text};
use tracing_subscriber::EnvFilter;

/// Thread-per-core WebSocket server: echo on / and /echo, broadcast on /broadcast and
/// /broadcast/NAME, rooms for Centrifugo's client libraries on /connection/websocket.
#[derive(Parser, Debug)]
#[command(version, after_help = "Sizes: 4096, 64KiB, 1MiB. Times: 500ms, 25s, 2m, off.")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// What is logged: error, warn, info, debug, or a filter such as plimsoll=debug
    #[arg(long, env = "PLIMSOLL_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    let Arguments { mut options, log: filter } = Arguments::parse();
    if let Err(error) = log(&filter) {
        return fail(2, &error);
    }
    let config = match file(&mut options).and_then(|()| Config::from_options(&options)) {
        Ok(config) => config,
        Err(error) => return fail(2, &error.to_string()),
    };
    let server = match Server::start_with_signals(config) {
        Ok(server) => server,
        Err(error @ StartError::Config(_)) => return fail(2, &error.to_string()),
        Err(error) => return fail(1, &error.to_string()),
    };
    announce(&server);
    match server.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

/// What the configuration file says where flags and environment say nothing.
fn file(options: &mut Options) -> Result<(), ConfigError> {
    let Some(path) = options.config.clone() else { return Ok(()) };
    let text = read_text("--config", &path)?;
    options.fill_from_file(&path, &text)
}

fn log(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        let given = filter.escape_debug();
        format!("--log '{given}': not a filter ({error}); use error, warn, info or debug")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// The one line on standard output: whoever started the server may wait for it.
fn announce(server: &Server) {
    let shards = server.shards();
    let s = if shards == 1 { "" } else { "s" };
    let mut out = std::io::stdout().lock();
    let told = writeln!(out, "listening on ws://{} ({shards} shard{s})", server.addr());
    if let Err(error) = told.and_then(|()| out.flush()) {
        // The server is well, whoever does not hear of it.
        tracing::warn!(%error, addr = %server.addr(), "listening; standard output takes no line");
    }
    if let Some(admin) = server.admin_addr() {
        tracing::info!("health and metrics on http://{admin}/");
    }
}

fn fail(code: u8, error: &str) -> ExitCode {
    // Whoever closed standard error still has the exit code.
    let _ = writeln!(std::io::stderr(), "plimsoll: {error}");
    ExitCode::from(code)
}
