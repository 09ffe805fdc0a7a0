//! A terminal that is lent for the full view, and given back as it was: when the view ends, when a
//! thread panics, and when a second Ctrl-C ends the process.
//!
//! Signals stay on: Ctrl-C is one here as everywhere.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// The other screen (xterm's 1049), no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// What has to be given back, if a view is on.
static LENT: Mutex<Option<Lent>> = Mutex::new(None);

struct Lent {
    tty: File,
    before: Termios,
}

/// The full view is on. Dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Screen(File);

impl Screen {
    /// Takes the terminal: typed characters are not shown on it meanwhile.
    pub(super) fn enter(tty: File) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                usual(panic);
            }));
        });
        let before = tcgetattr(&tty)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        // Ctrl-Z would leave the shell on the other screen, and the server without its load.
        quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(&tty, OptionalActions::Now, &quiet)?;
        let screen = Self(tty.try_clone()?);
        (&screen.0).write_all(ENTER)?;
        *LENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Lent { tty, before });
        Ok(screen)
    }

    /// Where to draw.
    pub(super) fn tty(&self) -> &File {
        &self.0
    }

    /// Columns and rows; 80 by 24 where the terminal does not say.
    pub(super) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(&self.0) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// Whether it has been given back meanwhile: nothing more may be drawn.
    pub(super) fn is_gone() -> bool {
        LENT.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if one is lent. What cannot be written to it can be told nowhere else.
pub(crate) fn restore() {
    let Some(lent) = LENT.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let _ = (&lent.tty).write_all(LEAVE);
    let _ = tcsetattr(&lent.tty, OptionalActions::Now, &lent.before);
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use std::io::Read;

    /// A view that is left, one that is given back by a panic elsewhere, and one given back twice.
    #[test]
    fn the_terminal_is_given_back() {
        let pty = openpty(None, None).unwrap();
        let (mut master, tty) = (File::from(pty.master), File::from(pty.slave));
        let modes = || tcgetattr(&tty).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ECHO | LocalModes::ISIG));
        let mut seen = |text: &[u8]| {
            let mut bytes = vec![0; text.len()];
            master.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, text);
        };
        let screen = Screen::enter(tty.try_clone().unwrap()).unwrap();
        assert!(!modes().contains(LocalModes::ECHO) && modes().contains(LocalModes::ISIG));
        assert_eq!(screen.size(), (80, 24));
        seen(ENTER);
        drop(screen);
        seen(LEAVE);
        assert_eq!(modes(), before);

        let screen = Screen::enter(tty.try_clone().unwrap()).unwrap();
        seen(ENTER);
        std::thread::spawn(|| panic!("a shard's bug")).join().unwrap_err();
        seen(LEAVE);
        assert!(modes() == before && Screen::is_gone());
        drop(screen);
        restore();
        (&tty).write_all(b"!").unwrap();
        seen(b"!");
    }
}
