//! A value of a parsed command, and where it stands in the message.

use simd_json::{Node, StaticNode};

use super::Malformed;
use crate::hub::json::Members;

/// A value on the tape, and its text.
#[derive(Clone, Copy)]
pub(super) struct Value<'t, 'm> {
    pub(super) nodes: &'t [Node<'m>],
    pub(super) text: &'m [u8],
}

impl<'t, 'm: 't> Value<'t, 'm> {
    /// The members of an object.
    pub(super) fn members(
        self,
    ) -> Result<impl Iterator<Item = (&'m str, Value<'t, 'm>)>, Malformed> {
        let Some(Node::Object { .. }) = self.nodes.first() else { return Err(Malformed::Type) };
        let mut nodes = &self.nodes[1..];
        let mut texts = Members::of(self.text);
        Ok(std::iter::from_fn(move || {
            let (Some(Node::String(key)), Some((_, text))) = (nodes.first(), texts.next()) else {
                return None;
            };
            let (value, rest) = nodes[1..].split_at(size(&nodes[1..]));
            nodes = rest;
            Some((*key, Value { nodes: value, text }))
        }))
    }

    pub(super) fn is_null(self) -> bool {
        matches!(self.nodes, [Node::Static(StaticNode::Null)])
    }

    pub(super) fn str(self) -> Result<&'m str, Malformed> {
        match self.nodes {
            [Node::String(text)] => Ok(text),
            _ if self.is_null() => Ok(""),
            _ => Err(Malformed::Type),
        }
    }

    pub(super) fn bool(self) -> Result<bool, Malformed> {
        match self.nodes {
            [Node::Static(StaticNode::Bool(yes))] => Ok(*yes),
            _ if self.is_null() => Ok(false),
            _ => Err(Malformed::Type),
        }
    }

    pub(super) fn number(self) -> Result<u64, Malformed> {
        match self.nodes {
            [Node::Static(StaticNode::U64(n))] => Ok(*n),
            [Node::Static(StaticNode::I64(n))] => u64::try_from(*n).map_err(|_| Malformed::Type),
            _ if self.is_null() => Ok(0),
            _ => Err(Malformed::Type),
        }
    }

    pub(super) fn signed(self) -> Result<i64, Malformed> {
        match self.nodes {
            [Node::Static(StaticNode::I64(n))] => Ok(*n),
            _ => self.number().map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        }
    }

    /// The value as it stands in the message.
    #[expect(clippy::unnecessary_wraps, reason = "as every way to read a field")]
    pub(super) fn span(self) -> Result<Option<&'m [u8]>, Malformed> {
        Ok(Some(self.text))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as every way to read a field")]
    pub(super) fn some(self) -> Result<Option<Self>, Malformed> {
        Ok(Some(self).filter(|value| !value.is_null()))
    }
}

/// Nodes that the first value takes.
fn size(nodes: &[Node<'_>]) -> usize {
    let below = match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => *count,
        _ => 0,
    };
    (1 + below).min(nodes.len())
}
