import Foundation
import SiteModel

/// A message in the forms in which it is sent: the same wherever it is made, whatever the locale.
struct AlertText {
    let message: AlertMessage
    let rule: AlertRule
    /// Name of the vault that it comes from.
    let vault: String

    var subject: String {
        let word = message.items.allSatisfy(\.isOver) ? "over" : message.severity.rawValue
        guard let first = message.items.first, message.items.count == 1 else {
            return "[perilune \(vault)] \(word): \(message.items.count) events"
        }
        return "[perilune \(vault)] \(word): \(first.text.prefix(120))"
    }

    // MARK: JSON

    private struct Document: Encodable {
        struct Item: Encodable {
            var at: String
            var severity: String
            var topic: String
            var object: String?
            var code: String?
            var text: String
            var recommendation: String?
            var over: Bool
        }
        var source = "perilune"
        var version = 1
        var vault: String
        var alert: String
        var message_id: String
        var sent_at: String
        var severity: String
        var summary: String
        var events: [Item]
        /// Events that are not listed: repetitions, and those beyond the most that a message holds.
        var suppressed: Int
    }

    func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let document = Document(
            vault: vault, alert: rule.name, message_id: message.id, sent_at: Instants.utc(message.createdAt),
            severity: message.severity.rawValue, summary: subject,
            events: message.items.map { item in
                Document.Item(
                    at: Instants.utc(item.at), severity: item.severity.rawValue, topic: item.topic.rawValue,
                    object: item.object, code: item.code, text: item.text, recommendation: item.recommendation,
                    over: item.isOver)
            }, suppressed: message.suppressed)
        return Array(try encoder.encode(document))
    }

    // MARK: Mail

    /// The mail as RFC 5322 wants it, in UTF-8.
    func mail(_ mail: AlertMail) -> [UInt8] {
        let domain = mail.from.split(separator: "@").last.map(String.init) ?? "localhost"
        let head = [
            "Date: \(Instants.mail(message.createdAt))", "From: Perilune <\(mail.from)>",
            "To: \(mail.to.joined(separator: ",\r\n "))", "Subject: \(Self.header(subject))",
            "Message-ID: <\(message.id)@\(domain)>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64", "Auto-Submitted: auto-generated",
        ]
        // In base64 no line of the text is too long, and none can be taken for a line of SMTP.
        let body = Data(text.utf8).base64EncodedString(options: [
            .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
        ])
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n" + body + "\r\n").utf8)
    }

    private var text: String {
        var lines = message.items.flatMap { item in
            [
                "\(Instants.utc(item.at))  \(item.isOver ? "over" : item.severity.rawValue)  \(item.text)",
                item.recommendation.map { "    what to do: \($0)" },
            ].compactMap { $0 }
        }
        if message.suppressed > 0 { lines += ["", "and \(message.suppressed) more that are not listed"] }
        lines += ["", "Alert \(rule.name) of the vault \(vault). All of it: perilune health, perilune vault show"]
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    /// Text as a header may hold it: printable ASCII as it is, all else as encoded words of RFC 2047.
    static func header(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }), !text.contains("=?") { return text }
        // 39 bytes are 52 letters of base64: with the name of the header before it a line has less than 78. Characters are
        // not cut in two.
        var words: [String] = []
        var part: [UInt8] = []
        func flush() {
            if !part.isEmpty { words.append("=?utf-8?B?\(Data(part).base64EncodedString())?=") }
            part = []
        }
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if part.count + bytes.count > 39 { flush() }
            part += bytes
        }
        flush()
        return words.joined(separator: "\r\n ")
    }
}
