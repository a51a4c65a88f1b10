//! The program: parse, call, exit code.

fn main() -> std::process::ExitCode {
    quell::cli::main()
}
