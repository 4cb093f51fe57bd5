internal import CLibvirt
internal import Foundation

/// Commands in guests through the QEMU guest agent (QEMU guest agent protocol, guest-exec and guest-exec-status).
extension LibvirtHypervisor: GuestCommands {
    private static let poll = Duration.milliseconds(200)
    /// Seconds that the agent may take for one answer: a guest without a living agent never gives one.
    private static let answerLimit: Int32 = 5

    /// The agent has no way to end a program that it began: one that takes longer than `limit` goes on in the guest.
    package func runInGuest(uuid: String, argv: [String], limit: Duration) async throws -> GuestCommandResult {
        let began: GuestAgentMessages.Began = try await ask(
            uuid, GuestAgentMessages.exec(path: argv.first ?? "", arguments: Array(argv.dropFirst())))
        var waited = Duration.zero
        while true {
            try Task.checkCancellation()
            let status: GuestAgentMessages.Status = try await ask(uuid, GuestAgentMessages.status(of: began.pid))
            if status.exited { return status.result }
            guard waited < limit else {
                throw HypervisorError(
                    .timedOut, "the command in VM \(uuid) did not end within \(limit / .seconds(1)) s",
                    hint: "it goes on in the guest: look there")
            }
            try await clock.sleep(for: Self.poll)
            waited += Self.poll
        }
    }

    private func ask<Answer: Decodable & Sendable>(_ uuid: String, _ message: String) async throws -> Answer {
        let text = try await onDomain(uuid) { domain in
            guard let answer = virDomainQemuAgentCommand(domain, message, Self.answerLimit, 0) else {
                let failure = LibvirtLibrary.lastFailure()
                throw HypervisorError(
                    .unsupported, "no guest agent answers in VM \(uuid): \(failure.message)",
                    hint: "install qemu-guest-agent in the guest and give the VM its channel, or do without: "
                        + "a check over the network, a command on a host",
                    cause: failure)
            }
            defer { free(answer) }
            return String(cString: answer)
        }
        return try GuestAgentMessages.answer(text)
    }
}

/// The agent's messages: JSON, with what programs say in Base64.
enum GuestAgentMessages {
    struct Began: Decodable, Sendable {
        var pid: Int
    }

    struct Status: Decodable, Sendable {
        var exited: Bool
        var exitcode: Int32?
        var signal: Int32?
        var outData: String?
        var errData: String?

        enum CodingKeys: String, CodingKey {
            case exited, exitcode, signal
            case outData = "out-data"
            case errData = "err-data"
        }

        /// A program that a signal ended has status 128 and the signal's number, as shells have it.
        var result: GuestCommandResult {
            let text = [outData, errData].compactMap { $0 }.compactMap { Data(base64Encoded: $0) }
                .map { String(decoding: $0, as: UTF8.self) }.joined()
            return GuestCommandResult(status: exitcode ?? 128 + (signal ?? 0), output: text)
        }
    }

    private struct Message<Arguments: Encodable>: Encodable {
        var execute: String
        var arguments: Arguments
    }

    private struct Exec: Encodable {
        var path: String
        var arg: [String]
        var captureOutput = true

        enum CodingKeys: String, CodingKey {
            case path, arg
            case captureOutput = "capture-output"
        }
    }

    private struct Answer<Value: Decodable>: Decodable {
        var `return`: Value
    }

    static func exec(path: String, arguments: [String]) throws -> String {
        try text(Message(execute: "guest-exec", arguments: Exec(path: path, arg: arguments)))
    }

    static func status(of pid: Int) throws -> String {
        try text(Message(execute: "guest-exec-status", arguments: ["pid": pid]))
    }

    static func answer<Value: Decodable>(_ text: String) throws -> Value {
        do {
            return try JSONDecoder().decode(Answer<Value>.self, from: Data(text.utf8)).return
        } catch {
            throw HypervisorError(
                .failed, "the guest agent's answer is not understood", hint: "look at its version", cause: error)
        }
    }

    private static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
