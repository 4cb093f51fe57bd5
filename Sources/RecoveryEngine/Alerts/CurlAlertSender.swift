import Glibc
package import SiteModel

/// Sends messages through curl, as scripts' requests are: a process that a server can end instead of the engine.
///
/// See docs/decisions/0006-http-through-curl.md. What is secret reaches it through its standard input, never through its arguments.
package struct CurlAlertSender: AlertSender {
    /// Seconds that one attempt may take.
    package static let timeout = 20.0
    private static let longestPassword = 1024

    let clock: any EngineClock

    package init(clock: any EngineClock) {
        self.clock = clock
    }

    package func send(_ message: AlertMessage, of rule: AlertRule, from vault: String) async throws(AlertFailure) {
        let text = AlertText(message: message, rule: rule, vault: vault)
        if let webhook = rule.webhook {
            let body: [UInt8]
            do { body = try text.json() } catch {
                throw AlertFailure(
                    "the message cannot be written as JSON: \(error)", hint: "report it", isLasting: true)
            }
            try await post(body, to: webhook)
        }
        if let mail = rule.mail { try await send(text.mail(mail), by: mail) }
    }

    private func post(_ body: [UInt8], to url: String) async throws(AlertFailure) {
        let host = Self.host(of: url)
        let answer = try await curl(about: host, file: body) { path in
            [
                "proto = \"=http,https\"", "url = \(Self.quoted(url))", "request = \"POST\"",
                "header = \"Content-Type: application/json\"", "header = \"Expect:\"", "user-agent = \"perilune\"",
                "data-binary = \(Self.quoted("@" + path))", "output = \"/dev/null\"", "write-out = \"%{http_code}\"",
            ]
        }
        guard let status = Int(answer), !(200...299).contains(status) else { return }
        throw AlertFailure(
            "\(host) answers with status \(status)", hint: "check the alert's webhook",
            isLasting: (300...499).contains(status) && ![408, 425, 429].contains(status))
    }

    private func send(_ letter: [UInt8], by mail: AlertMail) async throws(AlertFailure) {
        let configuration = try Self.configuration(of: mail)
        _ = try await curl(about: mail.server, file: letter) { path in
            configuration + ["upload-file = \(Self.quoted(path))", "output = \"/dev/null\""]
        }
    }

    /// All of curl's configuration but the letter.
    static func configuration(of mail: AlertMail) throws(AlertFailure) -> [String] {
        var lines = [
            "proto = \"=smtp,smtps\"",
            "url = \(quoted((mail.security == .tls ? "smtps://" : "smtp://") + mail.server))",
            "mail-from = \(quoted("<\(mail.from)>"))",
        ]
        lines += mail.to.map { "mail-rcpt = \(quoted("<\($0)>"))" }
        if mail.security == .startTLS { lines.append("ssl-reqd") }
        if let user = mail.user, let file = mail.passwordFile {
            lines.append("user = \(quoted("\(user):\(try password(in: file))"))")
        }
        return lines
    }

    /// The first line of a file that its owner alone can read.
    private static func password(in path: String) throws(AlertFailure) -> String {
        func failure(_ reason: String) -> AlertFailure {
            AlertFailure(
                "the password file \(path) \(reason)",
                hint: "put the password there on one line, owned by this user, with rights 0600", isLasting: true)
        }
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw failure("cannot be read: \(lastSystemError())") }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw failure("is no file") }
        guard status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else { throw failure("may be read by others") }
        var bytes = [UInt8](repeating: 0, count: longestPassword)
        let count = read(file, &bytes, bytes.count)
        guard count > 0,
            let line = String(validating: bytes.prefix(count).prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self),
            !line.isEmpty, line.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { throw failure("holds no password") }
        return line
    }

    // MARK: curl

    /// Runs curl; returns what it prints.
    private func curl(
        about host: String, file: [UInt8], _ configuration: (_ path: String) -> [String]
    ) async throws(AlertFailure) -> String {
        let result: ProgramResult
        do {
            let content = try MemoryFile(file)
            let lines = ["silent", "globoff", "noproxy = \"*\""] + configuration(content.path)
            result = try await ProgramRun(
                arguments: ["curl", "--disable", "--config", "-"],
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"], folder: "/",
                input: Array((lines.joined(separator: "\n") + "\n").utf8), outputLimit: 4096, timeout: Self.timeout,
                clock: clock
            ).result()
            withExtendedLifetime(content) {}
        } catch {
            switch error {
            case .timedOut:
                throw AlertFailure(
                    "\(host) did not answer within \(Int(Self.timeout)) s", hint: "check that it can be reached")
            case .notFound: throw AlertFailure("curl is not installed", hint: "install the package curl")
            default: throw AlertFailure("curl could not be run", hint: "check that /usr/bin/curl runs")
            }
        }
        guard result.status == 0 else { throw Self.failure(curl: result.status ?? -1, host) }
        return String(decoding: result.output.bytes, as: UTF8.self)
    }

    /// What curl's exit status means; see "EXIT CODES" in curl(1).
    private static func failure(curl status: Int, _ host: String) -> AlertFailure {
        switch status {
        case 6: AlertFailure("the name of \(host) cannot be resolved", hint: "check the name and the resolver")
        case 7: AlertFailure("\(host) does not answer", hint: "check that it runs and can be reached")
        case 28: AlertFailure("\(host) did not answer in time", hint: "check that it can be reached")
        case 35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91:
            AlertFailure(
                "no encrypted connection with \(host), or it does not prove who it is (curl \(status))",
                hint: "check its certificate, and that this machine trusts who signed it")
        case 55: AlertFailure("\(host) refused the message or broke off", hint: "look at the server's log")
        case 67:
            AlertFailure("\(host) refused user and password", hint: "check user and password_file", isLasting: true)
        case 8, 56:
            AlertFailure("\(host) broke off or answered what was not expected", hint: "look at the server's log")
        default:
            AlertFailure(
                "sending to \(host) failed (curl \(status))", hint: "\"EXIT CODES\" in curl(1) says what it means")
        }
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// Host and port of a URL that was checked: all of it that messages show.
    private static func host(of url: String) -> String {
        String(url.drop { $0 != "/" }.dropFirst(2).prefix { !"/?#".contains($0) })
    }
}
