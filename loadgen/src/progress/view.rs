//! The full view: what is connected, sent and answered now, how long it takes, whether the
//! generator keeps up, and the last minute of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph, Sparkline};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::screen::Screen;
use super::snapshot::Snapshot;
use super::{Shown, Stage};
use crate::human::{decimal, grouped, time};
use crate::judge::LAG_FLOOR_NS;

/// Seconds of the sparklines.
const MINUTE: usize = 60;

/// What the view shows; all but the last minute is of the last two seconds.
pub(super) struct Picture<'a> {
    pub(super) shown: &'a Shown,
    pub(super) stage: Stage,
    /// How long the stage has lasted.
    pub(super) lasted: Duration,
    pub(super) before: &'a Snapshot,
    pub(super) now: &'a Snapshot,
    /// CPU of the generator's threads, in cores.
    pub(super) cores: Option<f64>,
    pub(super) history: &'a History,
}

/// The last minute, second by second.
#[derive(Default)]
pub(super) struct History {
    received: VecDeque<u64>,
    p99: VecDeque<u64>,
}

impl History {
    /// One more second.
    pub(super) fn add(&mut self, now: &Snapshot, before: &Snapshot) {
        let p99 = now.response.since(&before.response).quantile(0.99).unwrap_or(0);
        let received = now.rate(before, |now| now.received) as u64;
        for (series, value) in [(&mut self.received, received), (&mut self.p99, p99)] {
            series.push_back(value);
            if series.len() > MINUTE {
                series.pop_front();
            }
        }
    }
}

/// The view on a terminal.
pub(super) struct View {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    area: Rect,
    /// Dropped last: it gives the terminal back.
    screen: Screen,
}

impl View {
    /// Takes the terminal.
    pub(super) fn open(tty: File) -> io::Result<Self> {
        let screen = Screen::enter(tty)?;
        let area = area(&screen);
        let backend = CrosstermBackend::new(BufWriter::new(screen.tty().try_clone()?));
        let viewport = Viewport::Fixed(area);
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        Ok(Self { terminal, area, screen })
    }

    /// Draws anew what changed.
    pub(super) fn draw(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        if Screen::is_gone() {
            return Ok(());
        }
        let area = area(&self.screen);
        if area != self.area {
            self.area = area;
            self.terminal.resize(area)?;
        }
        self.terminal.draw(|frame| paint(frame, picture)).map(|_| ())
    }
}

fn area(screen: &Screen) -> Rect {
    let (columns, rows) = screen.size();
    Rect::new(0, 0, columns, rows)
}

/// The whole picture; what does not fit is cut off below.
pub(super) fn paint(frame: &mut Frame<'_>, picture: &Picture<'_>) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Min(3),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [title, bar, figures, received, p99, foot] = Layout::vertical(rows).areas(frame.area());
    let target = format!(" {}", picture.shown.target);
    frame.render_widget(Line::from(vec![" loadgen ".reversed().bold(), target.bold()]), title);
    frame.render_widget(progress(picture), bar);
    let block = Block::new().borders(Borders::TOP).title(" now (last 2 s) ");
    frame.render_widget(Paragraph::new(lines(picture)).block(block), figures);
    let series = |values: &VecDeque<u64>, width: u16| -> Vec<u64> {
        let skip = values.len().saturating_sub(width.into());
        values.iter().skip(skip).copied().collect()
    };
    let peak = |values: &VecDeque<u64>| values.iter().copied().max().unwrap_or(0);
    let history = picture.history;
    let title =
        format!(" received a second, last minute, peak {} ", grouped(peak(&history.received)));
    let data = series(&history.received, received.width);
    frame.render_widget(spark(title, &data, Color::Cyan), received);
    let title = format!(" p99, last minute, peak {} ", time(peak(&history.p99)));
    let data = series(&history.p99, p99.width);
    frame.render_widget(spark(title, &data, Color::Yellow), p99);
    let words = " Ctrl-C ends the run and reports what was measured; twice, it ends at once";
    frame.render_widget(Line::from(words).dim(), foot);
}

fn spark(title: String, data: &[u64], color: Color) -> Sparkline<'_> {
    let block = Block::new().borders(Borders::TOP).title(title);
    Sparkline::default().block(block).data(data).style(Style::new().fg(color))
}

/// How far the stage is, where that is known.
fn progress(picture: &Picture<'_>) -> Gauge<'static> {
    let Picture { shown, stage, lasted, now, .. } = picture;
    let ratio = match stage {
        Stage::Connecting => now.connected as f64 / f64::from(shown.requested.max(1)),
        _ => lasted.as_secs_f64() / shown.length(*stage).as_secs_f64().max(1e-9),
    };
    let label = match stage {
        Stage::Connecting => stage.name().to_owned(),
        _ => format!(
            "{} {:.0} of {:.0} s",
            stage.name(),
            lasted.as_secs_f64(),
            shown.length(*stage).as_secs_f64()
        ),
    };
    let style = Style::new().fg(Color::Blue).add_modifier(Modifier::BOLD);
    Gauge::default().gauge_style(style).ratio(ratio.clamp(0.0, 1.0)).label(label)
}

fn lines(picture: &Picture<'_>) -> Vec<Line<'static>> {
    let Picture { shown, before, now, .. } = picture;
    let name = |text: &str| Span::from(format!(" {text:<13}")).dim();
    let response = now.response.since(&before.response);
    let at = |quantile| response.quantile(quantile).map_or("-".to_owned(), time);
    let requested = shown.rate.map_or(String::new(), |rate| format!(" of {}/s", decimal(rate)));
    let faults = format!("{} failed or closed early", grouped(now.failed));
    let faults = if now.failed > 0 { faults.red().bold() } else { faults.into() };
    vec![
        Line::from(vec![
            name("connected"),
            format!("{} of {}", grouped(now.connected), grouped(shown.requested.into())).into(),
        ]),
        Line::from(vec![
            name("rate"),
            format!(
                "{}/s sent{requested}, {}/s received",
                decimal(now.rate(before, |now| now.sent)),
                decimal(now.rate(before, |now| now.received))
            )
            .into(),
        ]),
        Line::from(vec![
            name("latency"),
            format!("p50 {}  p99 {}  p99.9 {}", at(0.5), at(0.99), at(0.999)).into(),
        ]),
        Line::from(vec![name("errors"), faults]),
        Line::from(vec![name("generator"), health(picture)]),
    ]
}

/// Whether the generator keeps up: late by more than the verdict allows, and how busy.
fn health(picture: &Picture<'_>) -> Span<'static> {
    let lag = picture.now.lag.since(&picture.before.lag).quantile(0.99);
    let busy = picture.cores.map_or(String::new(), |cores| format!(", {cores:.2} cores in use"));
    match lag {
        None => format!("nothing sent{busy}").into(),
        Some(lag) if lag > LAG_FLOOR_NS => {
            format!("late: send lag p99 {}{busy}", time(lag)).yellow().bold()
        }
        Some(lag) => format!("keeps up: send lag p99 {}{busy}", time(lag)).green(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::LiveCell;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Cell;

    fn text(picture: &Picture<'_>, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| paint(frame, picture)).unwrap();
        let cells = terminal.backend().buffer().content();
        let row = |cells: &[Cell]| cells.iter().map(Cell::symbol).collect::<String>();
        cells.chunks(columns.into()).map(|cells| row(cells).trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_picture() {
        let cells = [LiveCell::default()];
        let before = Snapshot::take(&cells);
        cells[0].connected.add(62_400);
        cells[0].failed.add(3);
        cells[0].sent.add(6_666);
        cells[0].received.add(6_660);
        (0..1000).for_each(|_| cells[0].response.record(4_000_000));
        (0..1000).for_each(|_| cells[0].lag.record(200_000));
        let mut now = Snapshot::take(&cells);
        now.at = before.at + Duration::from_secs(2);
        let mut history = History::default();
        (0..100).for_each(|_| history.add(&now, &before));
        assert_eq!(history.received.len(), MINUTE);
        let shown = Shown {
            target: "ws://192.0.2.1/echo".to_owned(),
            requested: 100_000,
            rate: Some(3_333.0),
            measure: Duration::from_secs(30),
            ..Shown::default()
        };
        let picture = Picture {
            shown: &shown,
            stage: Stage::Measuring,
            lasted: Duration::from_secs(12),
            before: &before,
            now: &now,
            cores: Some(0.5),
            history: &history,
        };
        let whole = text(&picture, 80, 24);
        for part in [
            " loadgen  ws://192.0.2.1/echo",
            "Measuring 12 of 30 s",
            "connected    62,400 of 100,000",
            "rate         3,333/s sent of 3,333/s, 3,330/s received",
            "latency      p50 4.19ms  p99 4.19ms  p99.9 4.19ms",
            "errors       3 failed or closed early",
            "generator    keeps up: send lag p99 213us, 0.50 cores in use",
            "received a second, last minute, peak 3,330",
            "Ctrl-C ends the run",
        ] {
            assert!(whole.contains(part), "{part} is missing:\n{whole}");
        }
        // A terminal of any size is drawn on.
        for (columns, rows) in [(1, 1), (20, 5), (300, 100)] {
            text(&picture, columns, rows);
        }
    }
}
