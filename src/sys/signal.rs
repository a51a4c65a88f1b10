//! Signals: what we were started with, which we take, how to die of one.
//!
//! A signal that was ignored when quell started stays ignored (nohup, `&` in a shell without job control): no handler is
//! installed for it, and the worker inherits the same.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::ptr;

/// A signal's number.
pub type Number = i32;

/// The highest signal number there is.
const NUMBER_MAX: Number = 64;

/// The mask and dispositions that quell was started with.
#[derive(Clone, Debug)]
pub struct Inherited {
    mask: SigSet,
    ignored: Vec<Number>,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub number: Number,
    /// The kernel sent it (a key at the terminal sends to the whole foreground group), not a process.
    pub from_kernel: bool,
}

/// The signals that are taken, as a readable descriptor.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithRawSiginfo>,
    numbers: Vec<Number>,
}

impl Inherited {
    /// Blocks every signal, so that none is lost before handlers stand, and says what was in force before.
    ///
    /// # Errors
    /// As sigprocmask(2).
    pub fn take() -> io::Result<Inherited> {
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask))?;
        // The Rust runtime has set SIGPIPE to be ignored; what it was before cannot be known, and is taken for default.
        let ignored: Vec<_> = (1..=NUMBER_MAX).filter(|&n| n != libc::SIGPIPE && is_ignored(n)).collect();
        if ignored.contains(&libc::SIGCHLD) {
            // While it is ignored the kernel reaps children, and their status is lost (waitpid(2), NOTES).
            // SAFETY: a valid number and disposition; no handler is involved.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        }
        Ok(Inherited { mask, ignored })
    }

    /// Puts the mask back: for whoever takes no signals after all. One that has come meanwhile has its effect now.
    ///
    /// # Errors
    /// As sigprocmask(2).
    pub fn restore(&self) -> io::Result<()> {
        Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None)?)
    }

    /// Whether the signal was ignored.
    #[must_use]
    pub fn ignores(&self, number: Number) -> bool {
        self.ignored.contains(&number)
    }

    /// The signals that were ignored.
    pub(super) fn ignored(&self) -> &[Number] {
        &self.ignored
    }

    /// The mask.
    pub(super) fn mask(&self) -> &SigSet {
        &self.mask
    }
}

fn is_ignored(number: Number) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the old one is written to memory that is large enough and outlives the call.
    unsafe {
        libc::sigaction(number, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

impl Signals {
    /// Takes these signals, but for those that were ignored, and lets them through to this thread.
    ///
    /// # Errors
    /// As socketpair(2) and sigaction(2).
    pub fn take(inherited: &Inherited, numbers: &[Number]) -> io::Result<Signals> {
        let numbers: Vec<_> =
            numbers.iter().copied().filter(|n| *n == libc::SIGCHLD || !inherited.ignores(*n)).collect();
        let (reader, writer) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(reader, writer, WithRawSiginfo, &numbers)?;
        let signals = Signals { delivery, numbers };
        signals.unblock(inherited)?;
        Ok(signals)
    }

    /// The mask that quell was started with, but for the signals that are taken: those come through to this thread.
    fn unblock(&self, inherited: &Inherited) -> io::Result<()> {
        let mut mask = inherited.mask;
        self.numbers.iter().for_each(|number| remove(&mut mask, *number));
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        Ok(())
    }

    /// The signals that have arrived since it was last asked.
    pub fn received(&mut self) -> impl Iterator<Item = Received> {
        self.delivery
            .pending()
            .map(|info| Received { number: info.si_signo, from_kernel: info.si_code == libc::SI_KERNEL })
    }

    /// The numbers that are taken.
    #[must_use]
    pub fn numbers(&self) -> &[Number] {
        &self.numbers
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

fn remove(mask: &mut SigSet, number: Number) {
    let mut raw = *mask.as_ref();
    // SAFETY: the set is a valid one, and sigdelset only changes it.
    unsafe {
        libc::sigdelset(&raw mut raw, number);
        *mask = SigSet::from_sigset_t_unchecked(raw);
    }
}

/// Puts the default action in force and sends the signal to ourselves. Comes back when that stops us and we are
/// continued, and when the action is none (PID 1).
fn raise_default(number: Number) {
    let mut mask = SigSet::empty();
    remove(&mut mask, number);
    // SAFETY: the actions are fully initialised, the old one is put back as it was read, and the set holds one valid
    // number. raise and pthread_sigmask take plain numbers and valid sets. raise is for this thread, which so has it
    // before it goes on; for the process, another thread could have it later, when the handler stands again.
    unsafe {
        let mut default: libc::sigaction = MaybeUninit::zeroed().assume_init();
        let mut before = default;
        let mut only: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, number);
        libc::sigaction(number, &raw const default, &raw mut before);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, ptr::null_mut());
        libc::raise(number);
        libc::sigaction(number, &raw const before, ptr::null_mut());
    }
}

/// Stops this process as the terminal's suspend key would. An orphaned process group is not stopped (by the kernel's
/// rule: nobody could continue it).
pub fn stop_self() {
    raise_default(libc::SIGTSTP);
}

/// Dies of a signal, without a core file. Comes back only where that cannot be, as for PID 1.
pub fn die_of(number: Number) {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid limit, and plain numbers.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    raise_default(number);
}

/// A signal's number on this machine, by its name without SIG.
#[must_use]
pub fn number(name: &str) -> Option<Number> {
    format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as Number)
}

/// A signal's name: `SIGTERM`, `SIGRTMIN+3`.
#[must_use]
pub fn name(number: Number) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(
        |_| match number - libc::SIGRTMIN() {
            0 => "SIGRTMIN".to_owned(),
            over @ 1.. => format!("SIGRTMIN+{over}"),
            _ => format!("signal {number}"),
        },
        |signal| signal.as_str().to_owned(),
    )
}
