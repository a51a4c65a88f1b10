//! The stages that a line passes, each measured by itself: `cargo bench --bench stages`, or some of them:
//! `cargo bench --bench stages -- classify`.
//!
//! Bytes are bytes read: a stage at 2 GB/s takes half a second of one core for each gigabyte that comes in. Compare
//! medians, and only those of one machine. The corpus is the same on each run, of lines like those of `benches/peers`,
//! half of them noise; its 4 MiB are more than a branch predictor learns by heart.
//!
//! | stage | what is measured |
//! |---|---|
//! | `frame` | cutting reads of 256 KiB into whole lines; a copy stands for read(2), and `copied` is that copy alone |
//! | `search` | looking for so many literals, of which the first 20 occur; a hit's line is left, as `classify` does |
//! | `classify` | sorting blocks by so many noise literals, without and with `levels`, which is on by default |
//! | `compile` | making a rule set of parsed rules, of `levels` or of so many literals: time, no bytes |
//! | `stamp` | copying lines, each behind its stamp |
//! | `route` | `quell filter` but for its waits: a file in, sorted by so many literals and `levels`, /dev/null out |
//! | `check` | a configuration of 1,000 workers in one file, with 50 lists: loading it alone, and all of `quell check`: from the start of the program to its end, to be below 100 ms (the median) |

use divan::{Bencher, black_box, counter::BytesCount};
use memchr::{memchr, memrchr};
use quell::clock::{Now, Wall};
use quell::config::load::load;
use quell::line::Stream;
use quell::line::classify::{self, Follow};
use quell::line::frame::{Block, READ_BYTES};
use quell::line::list::{self, Rule};
use quell::line::rules::{RuleSet, Scratch};
use quell::line::search::Searcher;
use quell::line::shipped::{self, LEVELS};
use quell::log::ledger::Ledger;
use quell::log::stamp::{Stamp, stamp_lines};
use quell::runtime::directory::OnDisk;
use quell::runtime::lists::OfDisk;
use quell::runtime::output::{Brought, Output};
use quell::runtime::pass::Pass;
use quell::runtime::sorting::{Kept, Sorting};
use quell::runtime::workspace::Workspace;
use quell::sys::fd::Outlet;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock};

#[path = "../tests/config/thousand.rs"]
mod thousand;

const CORPUS_BYTES: usize = 4 << 20;
/// The cap that is in force by default.
const LINE_BYTES_MAX: usize = 1 << 20;
const NOISE: &str = "heartbeat sent|GET /healthz|GET /readyz|cache entry refreshed|cache sweep done|\
    minor collection took|keep-alive answered|lease extended|queue poll came back empty|connection handed back|\
    session still alive|nothing to flush|kube-probe/|HealthChecker/|scheduler has no work|metrics pushed|\
    settings unchanged|no rebalancing needed|checkpoint not due|watch renewed";
const SUBJECTS: &str = "billing|orders|search|stock|gateway|login|profile|catalogue|parcels|ledger";
const VERBS: &str = "woke for nothing|probe went well|tick is over|sync had no work|timer fired|ring is stable";
const OBJECTS: &str = "worker|thread|partition|segment|bucket|tenant|region|zone|slot|stream";

static CORPUS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (mut dice, mut text, mut second) = (Dice(42), String::new(), 0);
    while text.len() < CORPUS_BYTES {
        text += &record(&mut dice, second);
        text.push('\n');
        second += 1;
    }
    text.into_bytes()
});
/// An outlet borrows its descriptor for as long as the program runs.
static NULL: LazyLock<File> = LazyLock::new(|| File::create("/dev/null").expect("/dev/null can be written"));

fn main() {
    divan::main();
}

#[divan::bench(args = ["copied", "copied and cut"])]
fn frame(bencher: Bencher, what: &str) {
    let (mut block, mut room) = (Block::new(LINE_BYTES_MAX), vec![0; READ_BYTES]);
    measure(bencher, || {
        for read in CORPUS.chunks(READ_BYTES) {
            if what == "copied" {
                black_box(&mut room)[..read.len()].copy_from_slice(read);
                continue;
            }
            block.room()[..read.len()].copy_from_slice(read);
            block.read(read.len());
            while let Some(cut) = block.cut() {
                black_box(cut);
            }
        }
    });
}

#[divan::bench(args = [1, 20, 60, 500, 5000])]
fn search(bencher: Bencher, count: usize) {
    let searcher = Searcher::new(&literals(count));
    each_block(bencher, |block| {
        let (mut scan, mut at) = (searcher.scan(block), 0);
        while at < block.len() {
            let hit = black_box(scan.from(at)).start;
            at = memchr(b'\n', &block[hit..]).map_or(block.len(), |newline| hit + newline + 1);
        }
    });
}

#[divan::bench(args = [20, 500, 5000])]
fn classify(bencher: Bencher, count: usize) {
    sort(bencher, noise(count));
}

#[divan::bench(args = [20, 500, 5000])]
fn classify_with_levels(bencher: Bencher, count: usize) {
    sort(bencher, [noise(count), levels()].concat());
}

fn sort(bencher: Bencher, rules: Vec<Rule>) {
    let set = RuleSet::new(rules);
    let (mut follow, mut scratch, mut runs) = (Follow::default(), Scratch::default(), Vec::new());
    each_block(bencher, |block| {
        classify::classify(&set, block, Stream::Stdout, &mut follow, &mut scratch, &mut runs);
        black_box(&runs);
    });
}

#[divan::bench(args = ["levels", "500", "5000"])]
fn compile(bencher: Bencher, what: &str) {
    bencher.with_inputs(|| what.parse().map_or_else(|_| levels(), noise)).bench_values(RuleSet::new);
}

#[divan::bench(args = [Stamp::Utc, Stamp::Tai64n])]
fn stamp(bencher: Bencher, stamp: &Stamp) {
    let (mut text, mut stamped) = (Vec::new(), Vec::new());
    each_block(bencher, |block| {
        text.clear();
        stamped.clear();
        stamp.write(black_box(Wall(1_795_223_723_000_042)), &mut text);
        stamp_lines(&text, block, &mut stamped);
        black_box(&stamped);
    });
}

#[divan::bench(args = [20, 500, 5000])]
fn route(bencher: Bencher, count: usize) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&CORPUS).expect("room for the corpus");
    let sorting = Sorting::new(Arc::new(RuleSet::new([noise(count), levels()].concat())), Kept::default());
    let streams = vec![(Stream::Stdout, Some(Pass::new(Outlet::new(NULL.as_fd()).expect("an outlet"), true)))];
    let mut output: Output<OnDisk> = Output::new(sorting, streams, Ledger::new(&["stdin"]), None, LINE_BYTES_MAX);
    let mut room = Workspace::default();
    let input = output.begin(&mut room, 0, 0);
    measure(bencher, || {
        file.rewind().expect("a file can be rewound");
        while output.read(&mut room, input, &file, Now::default()).expect("a file can be read") != Brought::End {}
    });
}

#[divan::bench(args = ["load", "the program"])]
fn check(bencher: Bencher, what: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    thousand::write(folder.path()).expect("room for a configuration");
    bencher.bench_local(|| {
        if what == "load" {
            let loaded = load("quell.toml", folder.path(), &mut OfDisk::default(), &|_| None).expect("it is there");
            assert!(loaded.reports.is_empty());
            return;
        }
        // A program as a user starts it; no worker.
        #[allow(clippy::disallowed_methods)]
        let mut quell = std::process::Command::new(env!("CARGO_BIN_EXE_quell"));
        let done = quell.arg("check").current_dir(folder.path()).output().expect("it can be started");
        assert!(done.status.success());
    });
}

/// Measures what is done to the whole corpus.
fn measure(bencher: Bencher, stage: impl FnMut()) {
    bencher.counter(BytesCount::of_slice(&*CORPUS)).bench_local(stage);
}

/// Measures what is done to its blocks of whole lines, each as large as one read brings.
fn each_block(bencher: Bencher, mut stage: impl FnMut(&[u8])) {
    let (mut blocks, mut rest) = (Vec::new(), CORPUS.as_slice());
    while let Some(last) = memrchr(b'\n', &rest[..rest.len().min(READ_BYTES)]) {
        let (block, after) = rest.split_at(last + 1);
        blocks.push(block);
        rest = after;
    }
    measure(bencher, || blocks.iter().for_each(|block| stage(block)));
}

/// So many noise literals; the first 20 occur in the corpus.
fn literals(count: usize) -> Vec<String> {
    let more =
        (0..).map(|n| format!("{} {}={}-{}", nth(VERBS, n / 100), nth(OBJECTS, n / 10), nth(SUBJECTS, n), n / 600));
    NOISE.split('|').map(str::to_owned).chain(more).take(count).collect()
}

fn noise(count: usize) -> Vec<Rule> {
    parse("noise", &literals(count).join("\n"))
}

fn levels() -> Vec<Rule> {
    parse(LEVELS, shipped::find(LEVELS).expect("it comes with the program").text)
}

fn parse(name: &str, text: &str) -> Vec<Rule> {
    list::parse(name, text.as_bytes(), &mut |_, _| Err("nothing is included here".into())).expect("no mistakes").rules
}

/// A line, or an error and its stack trace, without the last newline; half of all lines are noise.
fn record(dice: &mut Dice, second: usize) -> String {
    let (permille, ms, number) = (dice.roll(1000), dice.roll(1000), dice.next());
    let (noise, subject, object) = (dice.pick(NOISE), dice.pick(SUBJECTS), dice.pick(OBJECTS));
    let time = format!("2026-11-21T{:02}:{:02}:{:02}.{ms:03}Z", second / 3600 % 24, second / 60 % 60, second % 60);
    let address = format!("10.{}.{}.{}", dice.roll(256), dice.roll(256), dice.roll(256));
    match permille {
        0..550 => format!("{time} DEBUG [{subject}] {noise} {address} seq={number} took={ms}ms ok"),
        550..561 => {
            let frame = |at| format!("\n\tat org.example.{subject}.{object}.Job.run(Job.java:{at})");
            let trace: String = (0..4 + dice.roll(8)).map(|_| frame(dice.roll(900))).collect();
            format!("{time} ERROR [{subject}] java.lang.IllegalStateException: no {object} after {ms}ms{trace}")
        }
        561..584 => format!("{time} ERROR [{subject}] upstream {address} reset the connection, attempt {number}"),
        584..620 => format!(r#"{{"ts":{second},"level":"info","svc":"{subject}","trace":"{number:032x}"}}"#),
        620..665 => format!("{time} WARN  [{subject}] {number} rows read of {object} where id = ? in {ms}ms"),
        _ => format!(r#"{time} INFO  [http] {address} "GET /api/v1/{subject}/{number} HTTP/1.1" 200 {ms}ms "curl""#),
    }
}

/// One of some words, counted round and round.
fn nth(words: &'static str, at: usize) -> &'static str {
    let count = words.split('|').count();
    words.split('|').nth(at % count).expect("it is below the count")
}

/// The same numbers on each run: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize
    }

    fn roll(&mut self, below: usize) -> usize {
        self.next() % below
    }

    fn pick(&mut self, words: &'static str) -> &'static str {
        nth(words, self.next())
    }
}
