//! The commands `serve` and `run`: requests in, events out.
//!
//! A reader thread takes lines while a cell runs, so that `cancel`, `ping`, the end of stdin and signals act at once;
//! everything else waits its turn in one queue. The state machine in `Server` sees requests strictly in order.

use crate::backend::host;
use crate::calibrate;
use crate::engine::cell::{End, Host};
use crate::engine::{prompt, run_cell, Loaded};
use crate::events::{Event, Events, Failed, PROTOCOL};
use crate::plan::CellPlan;
use crate::request::{Calibrate, Cell, CellName, Encode, Item, Refused, Request, Samples, Truncate, MAX_LINE};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Exit codes.
pub mod exit {
    /// All cells finished.
    pub const DONE: i32 = 0;
    /// A cell failed.
    pub const CELL_FAILED: i32 = 1;
    /// Wrong use, or a request that is none.
    pub const USAGE: i32 = 2;
    /// A cell or the whole run was cancelled.
    pub const CANCELLED: i32 = 4;
    /// A panic or a broken invariant.
    pub const INTERNAL: i32 = 101;
}

/// How often an idle engine looks for a signal.
const IDLE_LOOK: Duration = Duration::from_millis(100);

/// What the reader and the working thread both touch.
struct Shared {
    events: Arc<Events>,
    /// The parent is gone.
    orphaned: AtomicBool,
    busy: AtomicBool,
    /// Cells with a `cancel` that the queue has not reached yet.
    cancelled: Mutex<HashSet<String>>,
}

impl Shared {
    fn is_cancelled(&self, cell: &str) -> bool {
        let cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.contains(cell)
    }

    fn must_stop(&self) -> bool {
        host::stop_asked() || self.orphaned.load(Ordering::SeqCst) || self.events.is_broken()
    }
}

enum Message {
    Request(Request),
    Refused(Box<Refused>),
    End,
}

/// Serves the lines of `input` and returns the exit code. With `live` the end of input means that the parent died;
/// without it, that there is nothing more to do.
pub fn serve(input: Box<dyn Read + Send>, live: bool, events: Arc<Events>) -> i32 {
    host::catch_signals();
    install_panic_hook(Arc::clone(&events));
    events.emit(&Event::Hello {
        protocol: PROTOCOL,
        engine: env!("CARGO_PKG_VERSION"),
        build: crate::list::build(),
        numerics: crate::list::numerics(),
        pid: std::process::id(),
    });
    let shared = Arc::new(Shared {
        events: Arc::clone(&events),
        orphaned: AtomicBool::new(false),
        busy: AtomicBool::new(false),
        cancelled: Mutex::new(HashSet::new()),
    });
    let (send, queue) = channel();
    let reader = Arc::clone(&shared);
    std::thread::spawn(move || read(input, live, &reader, &send));
    let mut server = Server {
        shared: &shared,
        cells: HashMap::new(),
        ended: HashSet::new(),
        refused: HashSet::new(),
        loaded: None,
        code: exit::DONE,
    };
    let code = server.run(&queue, live);
    events.emit(&Event::Bye { code });
    code
}

fn install_panic_hook(events: Arc<Events>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        let error = Error::Internal(format!("the engine panicked: {info}; please report it").replace('\n', " "));
        events.emit(&Event::Failed(Failed::new(None, None, &error)));
        std::process::exit(exit::INTERNAL);
    }));
}

fn read(input: Box<dyn Read + Send>, live: bool, shared: &Shared, queue: &Sender<Message>) {
    let mut input = std::io::BufReader::with_capacity(1 << 16, input);
    let mut line = Vec::new();
    loop {
        let message = match next_line(&mut input, &mut line) {
            Ok(false) => break,
            Ok(true) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(true) => parse(&line),
            Err(error) => {
                let end = matches!(error, Error::Internal(_));
                let refused = Message::Refused(Box::new(Refused {
                    op: None,
                    cell: None,
                    id: None,
                    error,
                }));
                if queue.send(refused).is_err() || end {
                    break;
                }
                continue;
            }
        };
        match &message {
            Message::Request(Request::Ping(ping)) => {
                let state = if shared.busy.load(Ordering::SeqCst) {
                    "busy"
                } else {
                    "idle"
                };
                shared.events.emit(&Event::Pong {
                    id: ping.id.clone(),
                    state,
                });
                continue;
            }
            Message::Request(Request::Cancel(CellName { cell })) => {
                let mut cancelled = shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
                cancelled.insert(cell.clone());
            }
            _ => {}
        }
        let last = matches!(message, Message::Request(Request::Shutdown));
        if queue.send(message).is_err() || last {
            return;
        }
    }
    if live {
        shared.orphaned.store(true, Ordering::SeqCst);
    }
    // The receiver may be gone already: then nobody needs to hear of the end.
    let _ = queue.send(Message::End);
}

/// Reads one line without its end; `false` at the end of input. A line over the limit is skipped to its end, so that
/// memory stays bounded.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    let failed = |e: std::io::Error| Error::Internal(format!("requests cannot be read: {e}"));
    let mut limited = input.by_ref().take(MAX_LINE as u64 + 1);
    if limited.read_until(b'\n', line).map_err(failed)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') || line.len() <= MAX_LINE {
        return Ok(true);
    }
    line.clear();
    loop {
        let buffer = input.fill_buf().map_err(failed)?;
        let (used, found) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if found {
            return Err(Error::BadRequest(format!(
                "a line is longer than {MAX_LINE} bytes; split its samples over several lines"
            )));
        }
    }
}

fn parse(line: &[u8]) -> Message {
    let text = std::str::from_utf8(line).map_err(|e| {
        Box::new(Refused {
            op: None,
            cell: None,
            id: None,
            error: Error::BadRequest(format!("the line is not UTF-8: {e}")),
        })
    });
    match text.and_then(|text| Request::parse(text.trim())) {
        Ok(request) => Message::Request(request),
        Err(refused) => Message::Refused(refused),
    }
}

/// A cell that has not started.
struct Pending {
    request: Cell,
    items: Vec<Item>,
}

struct Server<'a> {
    shared: &'a Shared,
    cells: HashMap<String, Pending>,
    /// Cells that finished, failed or were cancelled.
    ended: HashSet<String>,
    /// Cells whose definition or samples were refused: one mistake gives one `failed`, so what was sent after it
    /// without waiting, up to `start`, is dropped.
    refused: HashSet<String>,
    loaded: Option<Loaded>,
    code: i32,
}

impl Server<'_> {
    fn run(&mut self, queue: &Receiver<Message>, live: bool) -> i32 {
        loop {
            if self.shared.must_stop() {
                return exit::CANCELLED;
            }
            match queue.recv_timeout(IDLE_LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) | Ok(Message::End) => {
                    return if live { exit::CANCELLED } else { self.code };
                }
                Ok(Message::Request(Request::Shutdown)) => return self.code,
                Ok(Message::Refused(refused)) => {
                    let Refused { op, cell, id, error } = *refused;
                    if let (Some("cell" | "samples"), Some(cell)) = (op.as_deref(), &cell) {
                        self.refuse(cell);
                    }
                    self.fail(cell, id, &error);
                }
                Ok(Message::Request(request)) => {
                    self.shared.busy.store(true, Ordering::SeqCst);
                    let broken = self.handle(request);
                    self.shared.busy.store(false, Ordering::SeqCst);
                    if broken {
                        return exit::INTERNAL;
                    }
                }
            }
        }
    }

    /// Reports a failure; `true` if the engine cannot go on.
    fn fail(&mut self, cell: Option<String>, id: Option<String>, error: &Error) -> bool {
        let code = match (&cell, error) {
            (_, Error::BadRequest(_)) => exit::USAGE,
            _ => exit::CELL_FAILED,
        };
        self.code = self.code.max(code);
        self.shared.events.emit(&Event::Failed(Failed::new(cell, id, error)));
        !error.is_usable()
    }

    /// Handles one request; `true` if the engine cannot go on.
    fn handle(&mut self, request: Request) -> bool {
        let (cell, id) = match &request {
            Request::Cell(c) => (Some(c.cell.clone()), None),
            Request::Samples(s) => (Some(s.cell.clone()), None),
            Request::Start(name) | Request::Cancel(name) => (Some(name.cell.clone()), None),
            Request::Load(l) => (None, Some(l.id.clone())),
            Request::Encode(e) => (None, Some(e.id.clone())),
            Request::Calibrate(c) => (None, Some(c.id.clone())),
            Request::Ping(_) | Request::Unload | Request::Shutdown => (None, None),
        };
        let done = match request {
            Request::Load(load) => {
                // The old weights go first: two models must never be in memory together.
                self.loaded = None;
                Loaded::load(&load).map(|(loaded, event)| {
                    self.loaded = Some(loaded);
                    self.shared.events.emit(&event);
                })
            }
            Request::Cell(cell) => {
                self.refused.remove(&cell.cell);
                let name = cell.cell.clone();
                self.define(*cell).inspect_err(|_| self.refuse(&name))
            }
            Request::Samples(samples) if self.refused.contains(&samples.cell) => Ok(()),
            Request::Samples(samples) => self.add(samples),
            Request::Start(CellName { cell }) if self.refused.remove(&cell) => Ok(()),
            Request::Start(CellName { cell }) => self.start(&cell),
            Request::Cancel(CellName { cell }) => self.cancel(&cell),
            Request::Encode(encode) => self.encode(&encode),
            Request::Calibrate(calibrate) => self.calibrate(&calibrate),
            Request::Unload => {
                self.loaded = None;
                Ok(())
            }
            Request::Ping(_) | Request::Shutdown => Ok(()),
        };
        done.is_err_and(|error| self.fail(cell, id, &error))
    }

    /// Drops a cell that cannot run as its sender meant it.
    fn refuse(&mut self, cell: &str) {
        self.cells.remove(cell);
        self.refused.insert(cell.to_owned());
    }

    fn define(&mut self, request: Cell) -> Result<()> {
        if self.cells.contains_key(&request.cell) {
            return Err(Error::BadRequest(format!(
                "cell {} is defined already; start or cancel it first",
                request.cell
            )));
        }
        self.ended.remove(&request.cell);
        let items = Vec::new();
        self.cells.insert(request.cell.clone(), Pending { request, items });
        Ok(())
    }

    fn unknown(&self, cell: &str) -> Error {
        let why = if self.ended.contains(cell) {
            "has ended already"
        } else {
            "is not defined"
        };
        Error::BadRequest(format!("cell {cell} {why}; send op \"cell\" first"))
    }

    fn add(&mut self, samples: Samples) -> Result<()> {
        match self.cells.get_mut(&samples.cell) {
            Some(pending) => {
                pending.items.extend(samples.items);
                Ok(())
            }
            None => Err(self.unknown(&samples.cell)),
        }
    }

    fn start(&mut self, cell: &str) -> Result<()> {
        let Some(pending) = self.cells.remove(cell) else {
            return Err(self.unknown(cell));
        };
        self.ended.insert(cell.to_owned());
        let Some(loaded) = self.loaded.as_mut() else {
            return Err(Error::BadRequest(format!(
                "cell {cell} needs a model; send op \"load\" first"
            )));
        };
        let plan = CellPlan::new(pending.request, pending.items, loaded)?;
        let shared = self.shared;
        let go_on = || !(shared.must_stop() || shared.is_cancelled(cell));
        let host = Host {
            events: &shared.events,
            go_on: &go_on,
        };
        if run_cell(loaded, &plan, &host)? == End::Cancelled {
            self.code = self.code.max(exit::CANCELLED);
        }
        Ok(())
    }

    /// Reached in order: a cell that ran has been stopped by the reader's mark, so here only waiting ones end.
    fn cancel(&mut self, cell: &str) -> Result<()> {
        let mut cancelled = self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.remove(cell);
        drop(cancelled);
        if self.cells.remove(cell).is_some() {
            self.ended.insert(cell.to_owned());
            self.code = self.code.max(exit::CANCELLED);
            self.shared.events.emit(&Event::Cancelled {
                cell: cell.to_owned(),
                samples: 0,
            });
        } else if !self.ended.contains(cell) {
            return Err(self.unknown(cell));
        }
        Ok(())
    }

    fn calibrate(&mut self, request: &Calibrate) -> Result<()> {
        let loaded = self
            .loaded
            .as_mut()
            .ok_or_else(|| Error::BadRequest("calibrate needs a model; send op \"load\" first".into()))?;
        let shared = self.shared;
        // Stopped from outside, the engine leaves at its next look at the queue.
        if let Some(event) = calibrate::calibrate(loaded, request, &|| !shared.must_stop())? {
            shared.events.emit(&event);
        }
        Ok(())
    }

    fn encode(&mut self, request: &Encode) -> Result<()> {
        let loaded = self
            .loaded
            .as_ref()
            .ok_or_else(|| Error::BadRequest("encode needs a model; send op \"load\" first".into()))?;
        let rules = prompt::Rules::new(loaded, request.chat, request.date.as_deref(), Truncate::None)?;
        let ids = request
            .texts
            .iter()
            .map(|text| rules.encode(text))
            .collect::<Result<Vec<_>>>()?;
        self.shared.events.emit(&Event::Encoded {
            id: request.id.clone(),
            ids,
        });
        Ok(())
    }
}

/// The writer of events on stdout, with its clock started.
pub fn stdout_events(start: Instant) -> Arc<Events> {
    Arc::new(Events::new(Box::new(std::io::stdout()), start))
}
