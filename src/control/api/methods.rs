//! The methods: a body's members into questions, answers into a result.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::fields::{Fields, Mistake};
use crate::calls::{self, Answer, Ask, Denied, Load, Member, Outcome, Position, Publication};
use crate::control::Facts;
use crate::control::desk::Desk;
use crate::limits;

/// The methods that there are, for whoever names another.
pub(super) const NAMES: &str = "publish, broadcast, subscribe, unsubscribe, disconnect, presence, \
                                presence_stats, history, history_remove, channels, info";

/// Bytes of a close frame's reason (RFC 6455 5.5).
const MAX_REASON: usize = 123;

/// Why a method gives no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such method.
    Unknown,
    /// The body asks for something that can not be.
    Mistake(Mistake),
    /// The hub says no.
    Denied(Denied),
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

type Done = Result<Box<RawValue>, Failure>;

/// Carries out one method.
pub(super) async fn call(name: &str, fields: Fields, desk: &Desk, facts: &Facts) -> Done {
    match name {
        "publish" => publish(fields, desk).await,
        "broadcast" => broadcast(fields, desk).await,
        "subscribe" => subscribe(fields, desk).await,
        "unsubscribe" => unsubscribe(fields, desk).await,
        "disconnect" => disconnect(fields, desk).await,
        "presence" => presence(fields, desk).await,
        "presence_stats" => presence_stats(fields, desk).await,
        "history" => history(fields, desk).await,
        "history_remove" => {
            of_room(fields, desk, |channel| Ask::HistoryRemove { channel }).await?;
            empty()
        }
        "channels" => channels(fields, desk).await,
        "info" => info(fields, desk, facts).await,
        _ => Err(Failure::Unknown),
    }
}

/// What a method gives that has nothing to say.
fn empty() -> Done {
    json(&BTreeMap::<&str, &str>::new())
}

fn json(value: &impl Serialize) -> Done {
    // Plain structs with keys of text: it can not fail.
    to_raw_value(value).map_err(|_| Failure::Denied(Denied::Internal))
}

/// An answer of another kind than the question's is a fault of the hub.
fn unexpected() -> Done {
    Err(Failure::Denied(Denied::Internal))
}

/// What is already known to be JSON.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

#[derive(Serialize, Default)]
struct Published<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
}

impl<'a> From<&'a Option<Position>> for Published<'a> {
    fn from(position: &'a Option<Position>) -> Self {
        let position = position.as_ref();
        Self { offset: position.map(|p| p.offset), epoch: position.map(|p| &*p.epoch) }
    }
}

fn data(fields: &mut Fields) -> Result<Box<str>, Mistake> {
    if fields.text("b64data")?.is_some() {
        return Err("b64data is binary, and rooms here speak JSON: send data".into());
    }
    fields.json("data").ok_or_else(|| "data is missing: any JSON".into())
}

async fn publish(mut fields: Fields, desk: &Desk) -> Done {
    let channel = fields.name("channel")?;
    let (data, skip_history) = (data(&mut fields)?, fields.switch("skip_history")?);
    fields.done()?;
    let ask = Ask::Publish { channel: channel.clone(), data, skip_history };
    match desk.ask_home(&channel, ask).await? {
        Answer::Published(position) => json(&Published::from(&position)),
        _ => unexpected(),
    }
}

/// One of a broadcast's answers.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Response<'a> {
    Result(Published<'a>),
    Error(super::ErrorBody<'a>),
}

async fn broadcast(mut fields: Fields, desk: &Desk) -> Done {
    let channels: Vec<Box<str>> = fields.required("channels", "a list of strings")?;
    if channels.is_empty() || channels.iter().any(|name| name.is_empty()) {
        return Err(Failure::Mistake("channels is empty, or a name in it is".into()));
    }
    if channels.len() > limits::BROADCAST_CHANNELS {
        let most = limits::BROADCAST_CHANNELS;
        return Err(Failure::Mistake(format!("channels has more than {most} names")));
    }
    let (data, skip_history) = (data(&mut fields)?, fields.switch("skip_history")?);
    fields.done()?;
    let until = desk.deadline();
    let mut asked = Vec::with_capacity(channels.len());
    for channel in channels {
        let data = data.clone();
        let ask = Ask::Publish { channel: channel.clone(), data, skip_history };
        asked.push(desk.post_home(&channel, ask, until).await);
    }
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(asked.len());
    for pending in asked {
        outcomes.push(pending.outcome().await);
    }
    let words: Vec<String> = outcomes.iter().map(denial).collect();
    let responses: Vec<Response<'_>> = outcomes
        .iter()
        .zip(&words)
        .map(|(outcome, message)| match outcome {
            Ok(Answer::Published(position)) => Response::Result(position.into()),
            Ok(_) => Response::Error(super::ErrorBody::new(Denied::Internal.code(), message)),
            Err(denied) => Response::Error(super::ErrorBody::new(denied.code(), message)),
        })
        .collect();
    json(&BTreeMap::from([("responses", responses)]))
}

fn denial(outcome: &Outcome) -> String {
    outcome.as_ref().err().copied().unwrap_or(Denied::Internal).to_string()
}

async fn subscribe(mut fields: Fields, desk: &Desk) -> Done {
    let (user, channel) = (fields.name("user")?, fields.name("channel")?);
    let (client, info) = (fields.text("client")?, fields.json("info"));
    fields.done()?;
    desk.ask_all(Ask::Subscribe { user, channel, client, info }).await?;
    empty()
}

async fn unsubscribe(mut fields: Fields, desk: &Desk) -> Done {
    let (user, channel) = (fields.name("user")?, fields.name("channel")?);
    let client = fields.text("client")?;
    fields.done()?;
    desk.ask_all(Ask::Unsubscribe { user, channel, client }).await?;
    empty()
}

async fn disconnect(mut fields: Fields, desk: &Desk) -> Done {
    #[derive(serde::Deserialize)]
    struct Close {
        code: u16,
        reason: Box<str>,
    }
    let (user, client) = (fields.name("user")?, fields.text("client")?);
    let kind = "an object with code and reason";
    let close: Option<Close> = fields.optional("disconnect", kind)?;
    let except = fields.optional("whitelist", "a list of client ids")?.unwrap_or_default();
    fields.done()?;
    let close = close.unwrap_or(Close { code: calls::FORCED.0, reason: calls::FORCED.1.into() });
    if !(3000..=4999).contains(&close.code) {
        return Err(Failure::Mistake("disconnect.code is not from 3000 to 4999".into()));
    }
    if close.reason.len() > MAX_REASON {
        return Err(Failure::Mistake(format!(
            "disconnect.reason has more than {MAX_REASON} bytes"
        )));
    }
    let Close { code, reason } = close;
    desk.ask_all(Ask::Disconnect { user, client, except, code, reason }).await?;
    empty()
}

/// Asks a room's home about nothing but the room.
async fn of_room(
    mut fields: Fields,
    desk: &Desk,
    ask: impl FnOnce(Box<str>) -> Ask,
) -> Result<Answer, Failure> {
    let channel = fields.name("channel")?;
    fields.done()?;
    Ok(desk.ask_home(&channel, ask(channel.clone())).await?)
}

#[derive(Serialize)]
struct Who<'a> {
    client: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<&'a RawValue>,
}

impl<'a> From<&'a Member> for Who<'a> {
    fn from(member: &'a Member) -> Self {
        Self {
            client: &member.client,
            user: &member.user,
            conn_info: member.conn_info.as_deref().and_then(raw),
            chan_info: member.chan_info.as_deref().and_then(raw),
        }
    }
}

async fn presence(fields: Fields, desk: &Desk) -> Done {
    let Answer::Presence(members) =
        of_room(fields, desk, |channel| Ask::Presence { channel }).await?
    else {
        return unexpected();
    };
    let clients: BTreeMap<&str, Who<'_>> =
        members.iter().map(|member| (&*member.client, member.into())).collect();
    json(&BTreeMap::from([("presence", clients)]))
}

async fn presence_stats(fields: Fields, desk: &Desk) -> Done {
    match of_room(fields, desk, |channel| Ask::PresenceStats { channel }).await? {
        Answer::PresenceStats { clients, users } => {
            json(&BTreeMap::from([("num_clients", clients), ("num_users", users)]))
        }
        _ => unexpected(),
    }
}

#[derive(Serialize)]
struct Past<'a> {
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Who<'a>>,
}

impl<'a> From<&'a Publication> for Past<'a> {
    fn from(publication: &'a Publication) -> Self {
        let Publication { offset, data, info } = publication;
        Self { offset: *offset, data: raw(data), info: info.as_ref().map(Who::from) }
    }
}

#[derive(Serialize)]
struct Stream<'a> {
    publications: Vec<Past<'a>>,
    epoch: &'a str,
    offset: u64,
}

async fn history(mut fields: Fields, desk: &Desk) -> Done {
    #[derive(serde::Deserialize)]
    struct Since {
        offset: u64,
        epoch: Box<str>,
    }
    let channel = fields.name("channel")?;
    let limit: i64 = fields.optional("limit", "a whole number")?.unwrap_or_default();
    let since: Option<Since> = fields.optional("since", "an object with offset and epoch")?;
    let reverse = fields.switch("reverse")?;
    fields.done()?;
    // Below 0 is all there is, as Centrifugo has it.
    let limit = (limit >= 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX));
    let since = since.map(|Since { offset, epoch }| Position { offset, epoch });
    let ask = Ask::History { channel: channel.clone(), limit, since, reverse };
    match desk.ask_home(&channel, ask).await? {
        Answer::History { publications, top } => json(&Stream {
            publications: publications.iter().map(Past::from).collect(),
            epoch: &top.epoch,
            offset: top.offset,
        }),
        _ => unexpected(),
    }
}

#[derive(Serialize, Default)]
struct Channel {
    num_clients: u64,
}

async fn channels(mut fields: Fields, desk: &Desk) -> Done {
    let pattern = fields.text("pattern")?;
    fields.done()?;
    let mut all: BTreeMap<Box<str>, Channel> = BTreeMap::new();
    for answer in desk.ask_all(Ask::Channels { pattern }).await? {
        let Answer::Channels(channels) = answer else { return unexpected() };
        for (name, clients) in channels {
            all.entry(name).or_default().num_clients += clients;
        }
    }
    json(&BTreeMap::from([("channels", all)]))
}

/// A shard, in the words in which Centrifugo tells of a node.
#[derive(Serialize)]
struct Node<'a> {
    uid: String,
    name: String,
    version: &'a str,
    num_clients: u64,
    num_users: u64,
    num_channels: u64,
    num_subs: u64,
    uptime: u64,
}

async fn info(fields: Fields, desk: &Desk, facts: &Facts) -> Done {
    fields.done()?;
    let mut nodes = Vec::with_capacity(desk.shards());
    for (shard, answer) in desk.ask_all(Ask::Info).await?.into_iter().enumerate() {
        let Answer::Info(Load { clients, users, channels, subscriptions }) = answer else {
            return unexpected();
        };
        nodes.push(Node {
            uid: shard.to_string(),
            name: format!("plimsoll-{shard}"),
            version: env!("CARGO_PKG_VERSION"),
            num_clients: clients,
            num_users: users,
            num_channels: channels,
            num_subs: subscriptions,
            uptime: facts.started.elapsed().as_secs(),
        });
    }
    json(&BTreeMap::from([("nodes", nodes)]))
}
