//! Sends bytes to a TCP echo service and checks that they all come back.

use std::env;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

struct Options {
    host: String,
    port: u16,
    bytes: usize,
    patience: Duration,
    limit: Duration,
}

fn main() -> ExitCode {
    let options = match parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\nusage: rust-echo --port N [--host H] [--bytes N] [--patience S] [--limit S]");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    match check(&options) {
        Ok(count) => {
            let seconds = begun.elapsed().as_secs_f64();
            println!("{count} bytes sent, {count} came back, all equal, in {seconds:.3} s");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("FAILED: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        host: "127.0.0.1".into(),
        port: 0,
        bytes: 100 * 1024,
        patience: Duration::from_secs(10),
        limit: Duration::from_secs(20),
    };
    while let Some(name) = words.next() {
        let value = words.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--host" => options.host = value,
            "--port" => options.port = number(&name, &value)?,
            "--bytes" => options.bytes = number(&name, &value)?,
            "--patience" => options.patience = Duration::from_secs(number(&name, &value)?),
            "--limit" => options.limit = Duration::from_secs(number(&name, &value)?),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    match options.port {
        0 => Err("--port is missing".into()),
        _ => Ok(options),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name}: {value:?} is no such number"))
}

/// Exchanges the bytes; returns how many. A connection that ends before its first
/// byte is tried again: a forwarded port takes it before anybody listens behind it.
fn check(options: &Options) -> Result<usize, String> {
    let until = Instant::now() + options.patience;
    loop {
        let (came, result) = match TcpStream::connect((options.host.as_str(), options.port)) {
            Ok(stream) => exchange(stream, options),
            Err(error) => (0, Err(format!("cannot connect: {error}"))),
        };
        if result.is_ok() || came > 0 || Instant::now() > until {
            return result.map(|()| came);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Returns how many bytes came back, and what was wrong.
fn exchange(stream: TcpStream, options: &Options) -> (usize, Result<(), String>) {
    let data = payload(options.bytes);
    let mut reader = match stream.try_clone() {
        Ok(reader) => reader,
        Err(error) => return (0, Err(error.to_string())),
    };
    let writer_data = data.clone();
    let writer = thread::spawn(move || {
        let mut stream = stream;
        // A failure to write shows on the reading side, with the counts.
        let _ = stream.write_all(&writer_data);
        let _ = stream.shutdown(Shutdown::Write);
    });
    let (came, result) = read_back(&mut reader, &data, Instant::now() + options.limit);
    let _ = reader.shutdown(Shutdown::Both); // so that the writer ends as well
    let _ = writer.join();
    (came, result)
}

fn read_back(stream: &mut TcpStream, data: &[u8], until: Instant) -> (usize, Result<(), String>) {
    let mut came = 0;
    let mut piece = vec![0; 65536];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (came, Err(counts(data, came, "then the time was over")));
        }
        if let Err(error) = stream.set_read_timeout(Some(left)) {
            return (came, Err(error.to_string()));
        }
        match stream.read(&mut piece) {
            Ok(0) if came == data.len() => return (came, Ok(())),
            Ok(0) => return (came, Err(counts(data, came, "then the other side hung up"))),
            Ok(count) if came + count > data.len() => {
                return (came, Err(counts(data, came + count, "more than was sent")));
            }
            Ok(count) => {
                if let Some(at) = (0..count).find(|at| piece[*at] != data[came + at]) {
                    let place = came + at;
                    let seen = piece[at];
                    let wanted = data[place];
                    return (
                        place + 1,
                        Err(format!(
                            "byte {place} came back as {seen:#04x}, but {wanted:#04x} was sent"
                        )),
                    );
                }
                came += count;
            }
            Err(error) => return (came, Err(counts(data, came, error))),
        }
    }
}

fn counts(data: &[u8], came: usize, what: impl Display) -> String {
    format!("{} bytes to send, {came} came back: {what}", data.len())
}

/// Bytes in which no stretch looks like another (xorshift64).
fn payload(count: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}
