import Foundation
package import SiteModel
import Subprocess
import SystemPackage

/// Ends a host by its fence: a command of its own, or one of Debian's fence-agents.
///
/// A command that ends with status 0 is proof. An agent is asked to turn the host off and then how it is: proof is its word
/// that the host is off, and nothing else. Anything less leaves the host's state unknown.
package struct CommandFencing: Fencing {
    /// How long a fence may take before it is ended and says nothing.
    private let limit: Duration
    /// Where fence agents are looked for, in order.
    private let agentFolders: [String]

    package init(limit: Duration = .seconds(120), agentFolders: [String] = ["/usr/sbin", "/usr/bin", "/sbin"]) {
        self.limit = limit
        self.agentFolders = agentFolders
    }

    package func fence(_ host: SiteModel.Host) async -> SourceVerdict {
        await withTaskGroup(of: SourceVerdict.self) { group in
            group.addTask {
                if let agent = host.fenceAgent { return await fence(by: agent) }
                guard let program = host.fence.first else { return .unknown }
                let ended = await Self.run(program, Array(host.fence.dropFirst()), input: "")
                return ended == .exited(0) ? .proven : .unknown
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return .unknown
            }
            let verdict = await group.next() ?? .unknown
            group.cancelAll()
            return verdict
        }
    }

    // MARK: Fence agents

    /// Exit status of an agent's `status` (FenceAgentAPI): 0 is on, 2 is off, anything else is no answer.
    private static let off: CInt = 2

    private func fence(by agent: FenceAgent) async -> SourceVerdict {
        guard agent.fault == nil,
            let program = program(named: agent.agent),
            let options = Self.input(of: agent)
        else { return .unknown }
        // What turning it off says of itself is no proof; what counts is how the host is then.
        _ = await Self.run(program, [], input: options + "action=off\n")
        for _ in 0..<Self.looks where !Task.isCancelled {
            if await Self.run(program, [], input: options + "action=status\n") == .exited(Self.off) { return .proven }
            try? await Task.sleep(for: .seconds(1))
        }
        return .unknown
    }

    /// What keeps a fence agent from being run, in words; nil when nothing does.
    package func problem(of agent: FenceAgent) -> String? {
        if let fault = agent.fault { return fault }
        if program(named: agent.agent) == nil {
            return "\(agent.agent) is not in \(agentFolders.joined(separator: ", ")): install the package fence-agents"
        }
        return Self.input(of: agent) == nil
            ? "a file of its secrets is not there, is empty, or may be read by others than its owner" : nil
    }

    private func program(named name: String) -> String? {
        for folder in agentFolders {
            let path = "\(folder)/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        return nil
    }

    /// How often it is asked, a second apart: some devices report a host off a moment after they took its power.
    private static let looks = 5

    /// The options as the agent reads them from its standard input; nil when a secret cannot be had.
    ///
    /// So no secret stands in an argument list, which every user of the machine can read.
    private static func input(of agent: FenceAgent) -> String? {
        var values = agent.options
        for (name, path) in agent.secrets {
            guard let secret = secret(in: path) else { return nil }
            values[name] = secret
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }.joined()
    }

    /// The first line of a file that nobody but its owner may read; nil when there is no such file, or it is empty.
    private static func secret(in path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var details = stat()
        guard fstat(file, &details) == 0, details.st_mode & S_IFMT == S_IFREG, details.st_mode & 0o077 == 0,
            details.st_uid == geteuid() || details.st_uid == 0
        else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        guard count > 0 else { return nil }
        let line = buffer[..<count].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }

    private static func run(_ program: String, _ arguments: [String], input: String) async -> TerminationStatus? {
        try? await Subprocess.run(
            .path(FilePath(program)), arguments: .init(arguments), input: .string(input), output: .discarded,
            error: .discarded
        ).terminationStatus
    }
}
