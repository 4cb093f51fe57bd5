import Foundation
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Alerts")
struct AlertTests {
    /// A sender that keeps what it is given and fails as it is told.
    private final class Recorder: AlertSender {
        private let state = Mutex<(sent: [AlertMessage], failures: [AlertFailure?])>(([], []))
        var sent: [AlertMessage] { state.withLock { $0.sent } }

        init(_ failures: [AlertFailure?] = []) { state.withLock { $0.failures = failures } }

        func send(_ message: AlertMessage, of rule: AlertRule, from vault: String) async throws(AlertFailure) {
            let failure = state.withLock { state -> AlertFailure? in
                state.sent.append(message)
                return state.failures.isEmpty ? nil : state.failures.removeFirst()
            }
            if let failure { throw failure }
        }
    }

    private func rule(_ rig: Rig, quiet: Int = 3600, webhook: String = "http://127.0.0.1:1/x") async throws -> AlertRule
    {
        try await rig.engine.ensureAlert(
            AlertRule(id: rig.identifiers.next(), name: "ops", webhook: webhook, quietSeconds: quiet))
    }

    private func events(_ rig: Rig, _ code: String) async throws -> [Event] {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }.filter { $0.code == code }
    }

    @Test("A VM that fails is told of once, and once more when it is well again")
    func onceAndOver() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let rule = try await rule(rig)
        let recorder = Recorder()
        for _ in 1...20 {
            rig.clock.advance(seconds: 30)
            try await rig.engine.watchHealth()
            try await rig.engine.sendAlerts(via: recorder)
        }
        let told = recorder.sent.flatMap(\.items)
        #expect(told.compactMap(\.code) == ["health-warning", "age-warning", "age-critical"], "\(told.map(\.text))")
        #expect(told.allSatisfy { $0.object == "orders" && !$0.isOver })
        try await rig.cycle()
        try await rig.engine.resetStatistics(of: try await rig.relationship().id)
        for _ in 1...5 {
            try await rig.engine.watchHealth()
            try await rig.engine.sendAlerts(via: recorder)
            try await rig.cycle()
        }
        let over = recorder.sent.flatMap(\.items).dropFirst(told.count)
        #expect(Set(over.compactMap(\.code)) == ["health-normal", "age-normal"], "\(over.map(\.text))")
        #expect(!over.contains { !$0.isOver })
        #expect(try await events(rig, "alert-delivered").count == recorder.sent.count)
        #expect(rule.name == "ops")
    }

    @Test("What happened before a rule was made is not told")
    func fromNowOn() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.clock.advance(seconds: 300)
        try await rig.engine.watchHealth()
        _ = try await rule(rig)
        let recorder = Recorder()
        try await rig.engine.sendAlerts(via: recorder)
        #expect(recorder.sent.isEmpty)
    }

    @Test("A message that does not arrive is tried again, later each time, and given up in the end; both are events")
    func retries() async throws {
        let rig = try await Rig()
        _ = try await rule(rig)
        try await rig.vault.write { try $0.append(Self.failure("one")) }
        let broken = AlertFailure("it does not answer", hint: "mend it")
        let recorder = Recorder(Array(repeating: broken, count: AlertOutbox.attempts))
        var times: [Double] = []
        let began = rig.clock.now
        for _ in 0..<800 {
            let before = recorder.sent.count
            try await rig.engine.sendAlerts(via: recorder)
            if recorder.sent.count > before { times.append(rig.clock.now.seconds(since: began)) }
            rig.clock.advance(seconds: 5)
        }
        #expect(times == [0, 10, 30, 70, 150, 310, 630, 1270])
        #expect(Set(recorder.sent.map(\.id)).count == 1, "a repetition is known by its id")
        #expect(try await events(rig, "alert-delayed").count == 1)
        let givenUp = try await events(rig, "alert-given-up")
        #expect(givenUp.count == 1 && givenUp.first?.recommendation == "mend it")
        try await rig.vault.write { try $0.append(Self.failure("two", object: "another")) }
        try await rig.engine.sendAlerts(via: recorder)
        #expect(recorder.sent.last?.items.map(\.text) == ["two"], "the next is sent")
    }

    @Test("A lasting failure is not tried again")
    func lasting() async throws {
        let rig = try await Rig()
        _ = try await rule(rig)
        try await rig.vault.write { try $0.append(Self.failure("one")) }
        let recorder = Recorder([AlertFailure("no such hook", hint: "change it", isLasting: true)])
        for _ in 1...50 {
            try await rig.engine.sendAlerts(via: recorder)
            rig.clock.advance(seconds: 60)
        }
        #expect(recorder.sent.count == 1)
    }

    private static func failure(_ text: String, object: String? = nil, at time: Timestamp? = nil) -> Event {
        Event(
            at: time ?? Timestamp(milliseconds: 1_700_000_000_000), severity: .warning, object: object, text: text,
            code: "job-failed", topic: .job)
    }

    @Test("A storm of a thousand VMs is a few messages that say how many there were")
    func storm() async throws {
        let rig = try await Rig()
        _ = try await rule(rig)
        let recorder = Recorder()
        for _ in 1...10 {
            let now = rig.clock.now
            try await rig.vault.write { vault in
                for number in 1...1000 { try vault.append(Self.failure("fails", object: "r\(number)", at: now)) }
            }
            for _ in 1...6 {
                try await rig.engine.sendAlerts(via: recorder)
                rig.clock.advance(seconds: 5)
            }
        }
        #expect(recorder.sent.count <= 6, "\(recorder.sent.count) in five minutes")
        #expect(recorder.sent.allSatisfy { $0.items.count <= AlertOutbox.mostEvents })
        #expect(recorder.sent.first.map { $0.items.count + $0.suppressed } == 1000)
    }

    @Test("Of two engines one tells")
    func twoEngines() async throws {
        let rig = try await Rig()
        _ = try await rule(rig)
        try await rig.vault.write { try $0.append(Self.failure("one")) }
        try await rig.vault.write {
            _ = try $0.acquireLease("alerts", holder: "other", now: rig.clock.now, lifetime: 90)
        }
        let recorder = Recorder()
        try await rig.engine.sendAlerts(via: recorder)
        #expect(recorder.sent.isEmpty)
        rig.clock.advance(seconds: 91)
        try await rig.engine.sendAlerts(via: recorder)
        #expect(recorder.sent.count == 1)
    }

    // MARK: Real servers

    @Test("A webhook gets JSON; a status that is none of success is tried again")
    func webhook() async throws {
        let server = try HookServer(statuses: [503, 200])
        let rig = try await Rig()
        _ = try await rule(rig, webhook: server.url)
        let text = "copy of \"orders\" \\ größer\nfailed"
        try await rig.vault.write { try $0.append(Self.failure(text)) }
        let sender = CurlAlertSender(clock: SystemClock())
        try await rig.engine.sendAlerts(via: sender)
        let delayed = try await events(rig, "alert-delayed")
        #expect(delayed.count == 1 && delayed.first?.text.contains("503") == true)
        #expect(delayed.first?.text.contains("s3cret") == false, "no message shows what may be a token")
        rig.clock.advance(seconds: 10)
        try await rig.engine.sendAlerts(via: sender)
        #expect(server.received.count == 2 && server.received.first == server.received.last)
        struct Hook: Decodable {
            struct Item: Decodable { var text: String; var severity: String; var topic: String; var at: String }
            var alert: String; var severity: String; var message_id: String; var events: [Item]; var suppressed: Int
        }
        let hook = try JSONDecoder().decode(Hook.self, from: Data(try #require(server.received.last).utf8))
        #expect(hook.alert == "ops" && hook.severity == "warning" && hook.suppressed == 0)
        #expect(hook.events.map(\.text) == [text] && hook.events.first?.at == "2023-11-14T22:13:20Z")
        #expect(try await events(rig, "alert-delivered").count == 1)
    }

    private func mail(_ server: MailServer, to: [String] = ["ops@example.org", "duty@example.org"]) -> AlertMail {
        AlertMail(server: server.address, security: .none, from: "perilune@example.org", to: to)
    }

    @Test("Mail arrives whole through an SMTP server, whatever is in its text")
    func smtp() async throws {
        let server = try MailServer()
        let rig = try await Rig()
        try await rig.engine.ensureAlert(
            AlertRule(id: rig.identifiers.next(), name: "ops", mail: mail(server)))
        let text = "größer\r\n.\r\nBcc: x@example.org\r\n" + String(repeating: "long ", count: 500)
        try await rig.vault.write { try $0.append(Self.failure(text)) }
        try await rig.engine.sendAlerts(via: CurlAlertSender(clock: SystemClock()))
        let letter = try #require(server.letters.first)
        #expect(server.letters.count == 1)
        #expect(letter.from.contains("<perilune@example.org>"))
        #expect(letter.to.count == 2 && letter.to.last?.contains("<duty@example.org>") == true)
        let blank = try #require(letter.lines.firstIndex(of: ""))
        let head = letter.lines[..<blank]
        #expect(head.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"))
        #expect(head.contains { $0.hasPrefix("Subject: =?utf-8?B?") })
        #expect(!head.contains { $0.hasPrefix("Bcc") } && head.allSatisfy { $0.utf8.count <= 78 })
        let body = Data(base64Encoded: letter.lines[(blank + 1)...].joined())
        #expect(body.map { String(decoding: $0, as: UTF8.self).contains(text) } == true)
        #expect(try await events(rig, "alert-delivered").count == 1)
    }

    @Test("A recipient that is refused is a failure that names the server")
    func refused() async throws {
        let server = try MailServer(refusing: "nobody")
        let rule = AlertRule(id: "r", name: "ops", mail: mail(server, to: ["nobody@example.org"]))
        let item = AlertItem(
            at: Timestamp(milliseconds: 0), severity: .warning, topic: .job, object: nil, code: nil, text: "t",
            recommendation: nil, isOver: false)
        let failure = await #expect(throws: AlertFailure.self) {
            try await CurlAlertSender(clock: SystemClock()).send(
                AlertMessage(id: "m", items: [item], suppressed: 0, createdAt: Timestamp(milliseconds: 0)), of: rule,
                from: "vault")
        }
        #expect(failure?.message.contains(server.address) == true)
        #expect(server.letters.isEmpty)
    }

    @Test("A password comes from a file that its owner alone can read, and reaches curl's configuration only")
    func password() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = scratch("password")
        var mail = AlertMail(
            server: "mail.example.org:587", from: "a@example.org", to: ["b@example.org"], user: "me", passwordFile: path
        )
        #expect(mail.violations.isEmpty)
        #expect(throws: AlertFailure.self) { _ = try CurlAlertSender.configuration(of: mail) }
        try "pass\"word\\\nsecond line\n".write(toFile: path, atomically: true, encoding: .utf8)
        for (rights, works) in [(0o644, false), (0o600, true), (0o640, false), (0o400, true)] {
            try FileManager.default.setAttributes([.posixPermissions: rights], ofItemAtPath: path)
            let lines = try? CurlAlertSender.configuration(of: mail)
            #expect((lines != nil) == works)
            if let lines {
                #expect(lines.contains("user = \"me:pass\\\"word\\\\\"") && lines.contains("ssl-reqd"))
                #expect(lines.contains("url = \"smtp://mail.example.org:587\""))
            }
        }
        mail.security = .tls
        #expect(try CurlAlertSender.configuration(of: mail).contains("url = \"smtps://mail.example.org:587\""))
        mail.security = .none
        #expect(mail.violations.map(\.field) == ["email.security"], "no password is sent in clear")
    }

    @Test("A test message is sent at once, and its failure says why")
    func test() async throws {
        let server = try HookServer(statuses: [200, 404])
        let rig = try await Rig()
        _ = try await rule(rig, webhook: server.url)
        let sender = CurlAlertSender(clock: SystemClock())
        try await rig.engine.testAlert(named: "ops", via: sender)
        #expect(server.received.first?.contains("nothing has happened") == true)
        let error = try await engineError { try await rig.engine.testAlert(named: "ops", via: sender) }
        #expect(error.message.contains("404"))
        let unknown = try await engineError { try await rig.engine.testAlert(named: "oops", via: sender) }
        #expect(unknown.kind == .unknown && unknown.hint?.contains("ops") == true)
    }

    @Test(
        "Rules that cannot work are refused with the field",
        arguments: [
            ("webhook", AlertRule(id: "i", name: "n")), ("webhook", AlertRule(id: "i", name: "n", webhook: "ftp://x/")),
            ("webhook", AlertRule(id: "i", name: "n", webhook: "http://user@host/")),
            ("webhook", AlertRule(id: "i", name: "n", webhook: "http://x/\n\"")),
            ("name", AlertRule(id: "i", name: "", webhook: "http://x/")),
            ("on", AlertRule(id: "i", name: "n", webhook: "http://x/", topics: [])),
            ("on", AlertRule(id: "i", name: "n", webhook: "http://x/", topics: [.job, .job])),
            ("quiet", AlertRule(id: "i", name: "n", webhook: "http://x/", quietSeconds: 1)),
            ("email.to", Self.mailRule(to: [])), ("email.to", Self.mailRule(to: ["a b@example.org"])),
            ("email.to", Self.mailRule(to: ["a@x.org\r\nBcc: b@x.org"])), ("email.from", Self.mailRule(from: "nobody")),
            ("email.server", Self.mailRule(server: "mail.example.org")),
            ("email.user", Self.mailRule(user: "me")),
        ])
    func violations(field: String, rule: AlertRule) async throws {
        #expect(rule.violations.map(\.field) == [field])
        let rig = try await Rig()
        #expect(try await engineError { try await rig.engine.ensureAlert(rule) }.kind == .invalid)
    }

    private static func mailRule(
        server: String = "m:25", from: String = "a@x.org", to: [String] = ["b@x.org"], user: String? = nil
    ) -> AlertRule {
        AlertRule(id: "i", name: "n", mail: AlertMail(server: server, from: from, to: to, user: user))
    }

    @Test(
        "Headers hold printable ASCII only",
        arguments: ["plain", "größer", "a\r\nBcc: x", "=?utf-8?Q?x?=", String(repeating: "ü", count: 200)])
    func headers(text: String) {
        let header = AlertText.header(text)
        for line in header.replacing("\r\n ", with: "\n").split(separator: "\n") {
            #expect(line.utf8.count <= 75 && line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f })
        }
    }

    @Test(
        "Instants without a locale",
        arguments: [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_767_225_599_999, "2025-12-31T23:59:59Z", "Wed, 31 Dec 2025 23:59:59 +0000"),
        ] as [(Int64, String, String)])
    func instants(milliseconds: Int64, utc: String, mail: String) {
        #expect(Instants.utc(Timestamp(milliseconds: milliseconds)) == utc)
        #expect(Instants.mail(Timestamp(milliseconds: milliseconds)) == mail)
    }
}
