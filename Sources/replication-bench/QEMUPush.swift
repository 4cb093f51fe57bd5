import Foundation
import Glibc

/// QEMU's own way to send what a bitmap names: a backup job of qemu-storage-daemon onto another server's export.
struct QEMUPush {
    let bench: Workbench

    init(_ bench: Workbench) { self.bench = bench }

    /// Runs the job and returns its seconds, without those in which the programs start.
    func push(_ image: String, bitmap: String, to target: String) async throws -> Double {
        let (socket, monitor) = (bench("push.sock"), bench("push.qmp"))
        bench.removeFiles("push.sock", "push.qmp")
        let server = try Tool(
            ["qemu-nbd", "-t", "-e", "16", "-f", "raw", "-k", socket, "--discard=unmap", target], in: bench.memory)
        defer { server.end() }
        try await server.awaitListening(.unix(socket))
        let daemon = try Tool(
            [
                "qemu-storage-daemon", "--chardev", "socket,id=m,path=\(monitor),server=on,wait=off",
                "--monitor", "chardev=m",
                "--blockdev", "driver=qcow2,node-name=src,file.driver=file,file.filename=\(image)",
                "--blockdev", "driver=nbd,node-name=tgt,server.type=unix,server.path=\(socket)",
            ], in: bench.memory)
        defer { daemon.end() }
        // It serves one monitor at a time: a first connection that only looks would be taken for it.
        while access(monitor, F_OK) != 0 { try await Task.sleep(for: .milliseconds(2)) }
        var connection: Int32?
        for _ in 0..<1000 where connection == nil {
            connection = try? Place.unix(monitor).connected()
            if connection == nil { try await Task.sleep(for: .milliseconds(5)) }
        }
        guard let connection else { throw BenchError("qemu-storage-daemon does not answer") }
        defer { close(connection) }
        let talk = Monitor(connection)
        try talk.say(#"{"execute":"qmp_capabilities"}"#, until: "return")
        return try await seconds {
            try talk.say(
                #"{"execute":"blockdev-backup","arguments":{"job-id":"j","device":"src","target":"tgt","sync":"bitmap","#
                    + #""bitmap":"\#(bitmap)","bitmap-mode":"never"}}"#, until: "BLOCK_JOB_COMPLETED")
        }
    }

    /// A QMP connection: lines of JSON.
    private final class Monitor {
        private let descriptor: Int32
        private var received = ""

        init(_ descriptor: Int32) { self.descriptor = descriptor }

        /// Sends a command, and reads until a line names what is awaited.
        func say(_ command: String, until awaited: String) throws {
            let bytes = Array((command + "\n").utf8)
            guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
                throw BenchError("the monitor has gone")
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let lines = received.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
                    .map(String.init)
                for line in lines.dropLast() {
                    if line.contains("\"error\"") { throw BenchError(line) }
                    if line.contains("\"\(awaited)\"") {
                        received = lines.last ?? ""
                        return
                    }
                }
                received = lines.last ?? ""
                let count = recv(descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { throw BenchError("the monitor has gone") }
                received += String(decoding: buffer.prefix(count), as: UTF8.self)
            }
        }
    }
}
