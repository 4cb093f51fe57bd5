import BlockReplication
import Foundation
import Glibc

/// An agent in a process of its own, as at a host: this program run again.
final class AgentProcess: Sendable {
    let client: AgentClient
    let store: String
    private let tool: Tool

    /// With the file of a key and certificates, the agent speaks TLS.
    init(site: String, store: String, _ bench: Workbench, identity: String? = nil) async throws {
        self.store = store
        let socket = bench(
            "\(site)-\(store.hasPrefix(bench.disk) ? "disk" : "memory")\(identity == nil ? "" : "-tls").sock")
        tool = try Tool(
            [CommandLine.arguments[0], "agent", site, socket, store] + (identity.map { [$0] } ?? []), in: bench.memory)
        do { try await tool.awaitListening(.unix(socket)) } catch {
            tool.end(SIGKILL)
            throw error
        }
        client = AgentClient(controlSocket: socket)
    }

    func end() {
        client.close()
        tool.end()
    }

    /// What the second program does: serves until it is told to end, or its parent has gone.
    static func serve(_ arguments: [String]) async throws {
        guard (3...4).contains(arguments.count) else { throw BenchError("agent SITE SOCKET STORE [IDENTITY]") }
        let parent = getppid()
        Thread.detachNewThread {
            while getppid() == parent { sleep(1) }
            exit(1)
        }
        try await runAgent(
            site: arguments[0], controlSocket: arguments[1], listen: "127.0.0.1:0", store: arguments[2],
            security: arguments.count == 4 ? .tls(identity: arguments[3]) : .local)
    }

    /// Processor time used so far.
    var processorSeconds: Double {
        let text = (try? String(contentsOfFile: "/proc/\(tool.identifier)/stat", encoding: .utf8)) ?? ""
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// The most memory resident since `forgetPeak`, in MiB.
    var peakMebibytes: Double {
        let text = (try? String(contentsOfFile: "/proc/\(tool.identifier)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Double($0) } ?? 0) / 1024
    }

    func forgetPeak() {
        try? "5".write(toFile: "/proc/\(tool.identifier)/clear_refs", atomically: false, encoding: .utf8)
    }
}
