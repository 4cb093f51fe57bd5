/// Who is told of what happens, and how (reference 1.16).
package struct AlertRule: SiteObject {
    package static let kind = "alert"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// URL that messages are posted to, as JSON; this or `mail`.
    package var webhook: String?
    package var mail: AlertMail?
    /// What is less severe is not told of.
    package var severity: Event.Severity
    package var topics: [AlertTopic]
    /// Seconds for which the same of the same object is not told again, unless it gets worse.
    package var quietSeconds: Int

    package static let defaultQuietSeconds = 3600
    package static let quietLimits = 60...604_800

    package init(
        id: String, name: String, webhook: String? = nil, mail: AlertMail? = nil, severity: Event.Severity = .warning,
        topics: [AlertTopic] = AlertTopic.allCases, quietSeconds: Int = defaultQuietSeconds
    ) {
        self.id = id
        self.name = name
        self.webhook = webhook
        self.mail = mail
        self.severity = severity
        self.topics = topics
        self.quietSeconds = quietSeconds
    }
}

extension AlertRule {
    /// Where messages go, as people may see it: of a URL no more than host and port.
    package var destination: String {
        if let mail { return mail.to.joined(separator: ", ") }
        return String((webhook ?? "").drop { $0 != "/" }.dropFirst(2).prefix { !"/?#".contains($0) })
    }

    /// The rule as others may keep it: a webhook's URL often holds a token, and of it no more than scheme, host and port stay.
    ///
    /// A mail rule has no secret in it: its password is in a file of the vault's machine.
    package var withoutSecrets: AlertRule {
        var open = self
        open.webhook = webhook.map { "\($0.prefix { $0 != ":" })://\(destination)" }
        return open
    }
}

/// What an alert is about.
package enum AlertTopic: String, Codable, Hashable, Sendable, CaseIterable {
    /// Health of a VM's replication.
    case health
    /// A recovery point that grows too old for its copy frequency.
    case age
    /// An operation that failed, or waits for a person.
    case job
    /// A management server or a host.
    case server
    case other

    /// The topic of an event; nil for events about alerts themselves, which none may be about.
    package init?(of event: Event) {
        let code = event.code ?? ""
        if code.hasPrefix("alert-") { return nil }
        if code.hasPrefix("health-") {
            self = .health
        } else if code.hasPrefix("age-") {
            self = .age
        } else if event.topic == .job {
            self = .job
        } else if event.topic == .server {
            self = .server
        } else {
            self = .other
        }
    }
}

/// Mail through an SMTP server.
package struct AlertMail: Codable, Hashable, Sendable {
    package enum Security: String, Codable, Sendable, CaseIterable {
        /// Encrypted from the start (port 465).
        case tls
        /// Encrypted after a word in clear, or not sent at all (port 587).
        case startTLS = "starttls"
        /// In clear.
        case none
    }

    /// `host:port`.
    package var server: String
    package var security: Security
    package var from: String
    package var to: [String]
    package var user: String?
    /// Absolute path of the file that holds the password, readable by its owner alone.
    package var passwordFile: String?

    package static let mostRecipients = 20

    package init(
        server: String, security: Security = .startTLS, from: String, to: [String], user: String? = nil,
        passwordFile: String? = nil
    ) {
        self.server = server
        self.security = security
        self.from = from
        self.to = to
        self.user = user
        self.passwordFile = passwordFile
    }
}

extension Event.Severity: Comparable {
    private var rank: Int { self == .info ? 0 : self == .warning ? 1 : 2 }

    package static func < (a: Event.Severity, b: Event.Severity) -> Bool { a.rank < b.rank }
}

extension AlertRule: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name)].compactMap { $0 }
        if (webhook == nil) == (mail == nil) {
            found.append(
                FieldViolation(
                    "webhook", given: webhook == nil ? "" : "beside email", allowed: "a URL, or email: one of them"))
        }
        if let webhook, !Self.isWebAddress(webhook) {
            // Not shown: such addresses often hold a token.
            found.append(
                FieldViolation(
                    "webhook", given: "no such URL",
                    allowed: "a URL that begins with http:// or https:// and has no user or password in it"))
        }
        if topics.isEmpty {
            found.append(
                FieldViolation(
                    "on", given: "empty", allowed: AlertTopic.allCases.map(\.rawValue).joined(separator: ", ")))
        }
        found += [FieldCheck.distinct(topics.map(\.rawValue), "on")].compactMap { $0 }
        if !Self.quietLimits.contains(quietSeconds) {
            found.append(FieldViolation("quiet", given: "\(quietSeconds) s", allowed: "1 min to 7 days"))
        }
        return found + (mail?.violations ?? [])
    }

    /// Printable ASCII without what would end a line or a quoted text.
    private static func isWebAddress(_ text: String) -> Bool {
        let lower = text.lowercased()
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://"), text.utf8.count <= 2000 else { return false }
        let host = lower.drop { $0 != "/" }.dropFirst(2).prefix { !"/?#".contains($0) }
        return !host.isEmpty && !host.contains("@")
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !#""\<>^`{|}"#.utf8.contains($0) }
    }
}

extension AlertMail: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.endpoint(server, "email.server")].compactMap { $0 }
        for (field, address) in [("email.from", from)] + to.map({ ("email.to", $0) }) where !Self.isAddress(address) {
            found.append(
                FieldViolation(field, given: FieldCheck.shown(address), allowed: "an address such as ops@example.org"))
        }
        if to.isEmpty || to.count > Self.mostRecipients {
            found.append(
                FieldViolation("email.to", given: "\(to.count) addresses", allowed: "1 to \(Self.mostRecipients)"))
        }
        if (user == nil) != (passwordFile == nil) {
            found.append(
                FieldViolation("email.user", given: user ?? "", allowed: "user and password_file together, or neither"))
        }
        if let user, user.contains(":") || FieldCheck.text(user, "email.user", longest: 200) != nil {
            found.append(FieldViolation("email.user", given: FieldCheck.shown(user), allowed: "text without ':'"))
        }
        if user != nil, security == .none {
            found.append(
                FieldViolation("email.security", given: "none", allowed: "tls or starttls where a password is sent"))
        }
        found += [passwordFile.flatMap { FieldCheck.path($0, "email.password_file") }].compactMap { $0 }
        return found
    }

    /// Local part, `@`, domain, in the characters that need no quoting: what stands in a header and in SMTP as it is.
    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= 254, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
        func isPlain(_ part: Substring, _ others: String) -> Bool {
            !part.hasPrefix(".") && !part.hasSuffix(".")
                && part.unicodeScalars.allSatisfy { scalar in
                    scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                        || others.unicodeScalars.contains(scalar)
                }
        }
        return isPlain(parts[0], "!#$%&'*+-/=?^_`{|}~.") && isPlain(parts[1], "-.") && !parts[1].hasPrefix("-")
    }
}
