import Foundation
package import SiteModel

/// Ends a host by its fence: a command of its own, or one of Debian's fence-agents.
///
/// A command that ends with status 0 is proof. An agent is asked to turn the host off and then how it is: proof is its word
/// that the host is off, and nothing else. Anything less leaves the host's state unknown, and says why.
package struct CommandFencing: Fencing {
    /// How long a fence may take before it is ended and says nothing.
    private let limit: Duration
    /// Where fence agents are looked for, in order.
    private let agentFolders: [String]

    package init(limit: Duration = .seconds(120), agentFolders: [String] = ["/usr/sbin", "/usr/bin", "/sbin"]) {
        self.limit = limit
        self.agentFolders = agentFolders
    }

    package func fence(_ host: SiteModel.Host) async -> FenceOutcome {
        await withTaskGroup(of: FenceOutcome.self) { group in
            group.addTask {
                if let agent = host.fenceAgent { return await fence(by: agent) }
                guard !host.fence.isEmpty else { return .unknown("no fence is recorded for it") }
                let ended = await run(host.fence)
                return ended.status == 0 ? .proven : .unknown(ended.words)
            }
            group.addTask { [limit] in
                try? await Task.sleep(for: limit)
                return .unknown("its fence did not end within \(limit)")
            }
            let outcome = await group.next() ?? .unknown("its fence said nothing")
            group.cancelAll()
            return outcome
        }
    }

    // MARK: Fence agents

    /// Exit status of an agent's `status` (FenceAgentAPI): 0 is on, 2 is off, anything else is no answer.
    private static let off = 2

    private func fence(by agent: FenceAgent) async -> FenceOutcome {
        if let problem = problem(of: agent) { return .unknown(problem) }
        guard let program = program(named: agent.agent), let options = Self.input(of: agent) else {
            return .unknown("\(agent.agent) cannot be run")
        }
        // What turning it off says of itself is no proof; what counts is how the host is then.
        let turnedOff = await run([program], input: options.text + "action=off\n", hiding: options.secrets)
        for _ in 0..<Self.looks where !Task.isCancelled {
            let status = await run([program], input: options.text + "action=status\n", hiding: options.secrets)
            if status.status == Self.off { return .proven }
            try? await Task.sleep(for: .seconds(1))
        }
        return .unknown("it does not report the host off; told to turn it off, \(turnedOff.words)")
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
    private static func input(of agent: FenceAgent) -> (text: String, secrets: [String])? {
        var values = agent.options
        var secrets: [String] = []
        for (name, path) in agent.secrets {
            guard let secret = secret(in: path) else { return nil }
            values[name] = secret
            secrets.append(secret)
        }
        return (values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }.joined(), secrets)
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

    // MARK: Programs

    /// How a program ended, and in words with the last that it said.
    private struct Ended {
        var status: Int?
        var words: String
    }

    private func run(_ arguments: [String], input: String = "", hiding secrets: [String] = []) async -> Ended {
        let name = arguments.first ?? ""
        let run = ProgramRun(
            arguments: arguments, environment: ProcessInfo.processInfo.environment, input: Array(input.utf8),
            outputLimit: 16 << 10, timeout: limit / .seconds(1), clock: SystemClock())
        do {
            let result = try await run.result()
            let end = result.status.map { "status \($0)" } ?? "signal \(result.signal ?? 0)"
            let said = [result.errors, result.output].lazy.compactMap { Self.lastLine(of: $0, hiding: secrets) }.first
            return Ended(status: result.status, words: "\(name) ended with \(end)" + (said.map { ": \($0)" } ?? ""))
        } catch {
            switch error {
            case .notFound: return Ended(words: "\(name) is not there or no program")
            case .timedOut, .cancelled: return Ended(words: "\(name) did not end in time")
            case .noFolder, .tooMuchOutput: return Ended(words: "\(name) could not be run")
            case .cannotStart(let reason): return Ended(words: "\(name) could not be started (\(reason))")
            }
        }
    }

    /// The last line that says anything, at most 200 characters of it.
    private static func lastLine(of text: ProgramResult.Text, hiding secrets: [String]) -> String? {
        var words = String(decoding: text.bytes, as: UTF8.self)
        for secret in secrets where !secret.isEmpty { words = words.replacing(secret, with: "...") }
        let lines = words.split(whereSeparator: \.isNewline).map {
            String($0.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }.map(Character.init))
                .trimmingCharacters(in: .whitespaces)
        }
        return lines.last { !$0.isEmpty }.map { String($0.prefix(200)) }
    }
}
