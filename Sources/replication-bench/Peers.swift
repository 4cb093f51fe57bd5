import Foundation
import Glibc

/// The tools that stand beside ours, run as their manuals say.
struct Peers: Sendable {
    let bench: Workbench

    /// What a client and the server that it talked to took.
    struct Result: Sendable {
        var seconds: Double
        var client: Usage
        var server: Usage

        var values: [String: Double] {
            [
                "s": seconds, "ms": seconds * 1000, "sender cpu": client.processorSeconds,
                "receiver cpu": server.processorSeconds, "sender peak": client.peakMebibytes,
                "receiver peak": server.peakMebibytes,
            ]
        }
    }

    static let nbdcopyAndQEMU = Tool.obstacle(("nbdcopy", "libnbd-bin"), ("qemu-nbd", "qemu-utils"))
    static let nbdcopyAndNbdkit = Tool.obstacle(("nbdcopy", "libnbd-bin"), ("nbdkit", "nbdkit"))

    /// nbdcopy from a file or an NBD URI to qemu-nbd over loopback.
    func nbdcopyToQEMU(_ source: String, target: String) async throws -> Result {
        let port = try Place.freePort()
        let server = try Tool(
            [
                "qemu-nbd", "-t", "-e", "16", "-f", "raw", "-b", "127.0.0.1", "-p", String(port), "--discard=unmap",
                "--detect-zeroes=off", target,
            ], in: bench.memory)
        return try await copy(source, port, server, ["-C2"])
    }

    /// nbdcopy from a file to nbdkit's file plugin over loopback.
    func nbdcopyToNbdkit(_ source: String, target: String) async throws -> Result {
        let port = try Place.freePort()
        let server = try Tool(
            ["nbdkit", "-f", "-t", "4", "-p", String(port), "-i", "127.0.0.1", "file", target], in: bench.memory)
        return try await copy(source, port, server, ["-C4", "--request-size=1048576"])
    }

    private func copy(_ source: String, _ port: UInt16, _ server: Tool, _ options: [String]) async throws -> Result {
        defer { server.end(SIGKILL) }
        try await server.awaitListening(.port(port))
        var client = Usage()
        let time = try await seconds {
            client = try await Tool.run(
                ["nbdcopy"] + options + [source, "nbd://127.0.0.1:\(port)"], in: bench.memory
            ).usage
        }
        return Result(seconds: time, client: client, server: server.end())
    }

    /// An export read into nothing.
    func nbdcopyToNothing(_ source: String) async throws -> Double {
        try await seconds { try await bench.run("nbdcopy", "-C2", source, "null:") }
    }

    /// A daemon of rsync's on loopback, and a client that brings a file there up to date.
    func rsync(_ source: String, onto target: String) async throws -> Result {
        let port = try Place.freePort()
        let folder = (target as NSString).deletingLastPathComponent
        let settings = bench("rsyncd.conf")
        try """
        port = \(port)
        address = 127.0.0.1
        use chroot = no
        uid = \(getuid())
        gid = \(getgid())
        [bench]
        path = \(folder)
        read only = no
        """.write(toFile: settings, atomically: true, encoding: .utf8)
        let server = try Tool(["rsync", "--daemon", "--no-detach", "--config=\(settings)"], in: bench.memory)
        defer { server.end(SIGKILL) }
        try await server.awaitListening(.port(port))
        var client = Usage()
        let name = (target as NSString).lastPathComponent
        let time = try await seconds {
            client = try await bench.run(
                "rsync", "--inplace", "--no-whole-file", "-I", source, "rsync://127.0.0.1:\(port)/bench/\(name)"
            ).usage
        }
        return Result(seconds: time, client: client, server: server.end())
    }
}
