//! Which end of the connection this is: who masks, and who must be masked (RFC 6455 5.1).

/// The role of one end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Accepts upgrades, sends without masks, closes TCP first.
    Server,
    /// Asks for the upgrade, masks every frame.
    Client,
}

impl Side {
    /// Whether frames that arrive here must be masked.
    #[inline]
    pub fn peer_masks(self) -> bool {
        matches!(self, Self::Server)
    }
}
