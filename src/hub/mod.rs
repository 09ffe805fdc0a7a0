//! Floor 3: the server's App.
mod broadcast;
mod presence;
mod room;
mod rooms;
mod stage;
