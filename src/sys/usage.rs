//! What a process uses, as `/proc` has it (proc_pid_stat(5)).

use nix::unistd::{SysconfVar, sysconf};

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// CPU time, in milliseconds; that of children it has waited for is in it.
    pub cpu_ms: u64,
}

/// What a process uses; none where `/proc` does not show it.
#[must_use]
pub fn of(pid: i32) -> Option<Usage> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let ticks = sysconf(SysconfVar::CLK_TCK).ok()??.unsigned_abs();
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??.unsigned_abs();
    parse(&String::from_utf8_lossy(&text), ticks, page)
}

/// `ticks` are those of a second; `page` is in bytes.
fn parse(stat: &str, ticks: u64, page: u64) -> Option<Usage> {
    // The name stands in brackets and may have anything in it; the state is the first behind it, field 3.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let used: u64 = [14, 15, 16, 17].into_iter().map(field).sum::<Option<u64>>()?;
    Some(Usage { memory_bytes: field(24)? * page, cpu_ms: used * 1000 / ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_anything_in_it() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 25 50 15 10 20 0 1 0 99 1000 3 18446744073709551615";
        assert_eq!(parse(stat, 100, 4096), Some(Usage { memory_bytes: 3 * 4096, cpu_ms: 1000 }));
        assert_eq!(parse("7 (x", 100, 4096), None);
        assert!(of(std::process::id() as i32).is_some_and(|usage| usage.memory_bytes > 0));
    }
}
