import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `vault:alert` and the like: who is told of what happens.
enum AlertFunctions {
    static let methods = [make, list, remove]

    private static let severities = ["info", "warning", "critical"]

    private static let mailFields: [Parameter] = [
        .required("server", .text, "SMTP server, as host:port"),
        .required("from", .text, "address of the sender"),
        .required("to", .list(.text), "addresses, at most \(AlertMail.mostRecipients)"),
        .optional(
            "security", .choice(AlertMail.Security.allCases.map(\.rawValue)), "how the way is encrypted",
            default: "starttls"),
        .optional("user", .text, "name to log in with", otherwise: "nobody logs in"),
        .optional(
            "password_file", .text, "file with the password, which its owner alone may read",
            otherwise: "nobody logs in"),
    ]

    static let make = FunctionDeclaration(
        "alert",
        "Makes or changes a rule of who is told of what happens (needs --grant http). perilune replicate tells; it gathers what "
            + "happens within a minute, and tells the same of the same object once while it lasts.",
        named: [
            .required("name", .text, "unique among alerts"),
            .optional(
                "webhook", .text, "URL that JSON is posted to; this or email", otherwise: "mail is sent"),
            .optional(
                "email", .record("alert_email"), "mail through an SMTP server; this or webhook",
                otherwise: "JSON is posted"),
            .optional("severity", .choice(severities), "what is less severe is not told", default: "warning"),
            .optional(
                "on", .list(.choice(AlertTopic.allCases.map(\.rawValue))), "what is told of", otherwise: "all"),
            .optional(
                "quiet", .duration, "for how long the same is not told again, unless it gets worse", default: "1h",
                range: 60...604_800),
        ],
        errors: [
            ErrorDeclaration("invalid", "a field is not what it must be"),
            ErrorDeclaration("not-granted", "the run has no --grant http"),
        ],
        effect: .changes,
        example: """
            vault:alert {
              name = "duty officer", webhook = "https://hooks.example.org/perilune", severity = "critical",
              on = { "health", "age", "job" },
            }
            """, in: .bare,
        .waiting { call in
            // What it names is sent to again and again, by another process.
            try call.require(.http)
            let (arguments, engine) = (call.arguments, call.session.engine)
            try Handle.check(arguments.text("name"), of: "alert")
            var rule = AlertRule(id: engine.dependencies.identifiers.next(), name: arguments.text("name"))
            rule.webhook = arguments.optionalText("webhook")
            rule.mail = try mail(call)
            rule.severity = arguments.optionalText("severity").flatMap(Event.Severity.init(rawValue:)) ?? .warning
            if let topics = arguments.texts("on") { rule.topics = topics.compactMap(AlertTopic.init(rawValue:)) }
            rule.quietSeconds = Int(arguments.optionalNumber("quiet") ?? 3600)
            try await engine.ensureAlert(rule)
            return []
        })

    private static func mail(_ call: Call) throws(LuaError) -> AlertMail? {
        guard let value = call.arguments["email"] else { return nil }
        let declaration = FunctionDeclaration(
            "email", "", named: mailFields, effect: .none, example: "", .host)
        let fields = try ArgumentDecoder(function: "\(call.name): email", declaration: declaration)
            .decode([value], receiver: nil)
        return AlertMail(
            server: fields.text("server"),
            security: fields.optionalText("security").flatMap(AlertMail.Security.init(rawValue:)) ?? .startTLS,
            from: fields.text("from"), to: fields.texts("to") ?? [], user: fields.optionalText("user"),
            passwordFile: fields.optionalText("password_file"))
    }

    static let list = FunctionDeclaration(
        "alerts", "Lists the rules of who is told, by name; what may be a secret in a URL is not shown.",
        results: [ResultDeclaration("alerts", .list(.record("alert")), "the rules")], effect: .reads,
        example: "for _, alert in ipairs(vault:alerts()) do print(alert.name, alert.to) end",
        .waiting { call in
            let rules = try await call.session.engine.vault.read { try $0.objects(AlertRule.self).map(\.value) }
            return [.list(rules.map(value))]
        })

    static let remove = FunctionDeclaration(
        "remove_alert", "Removes a rule of who is told.",
        positional: [.required("name", .text, "name of the alert")],
        errors: [ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest")], effect: .changes,
        ifCutOff: .removal,
        example: """
            vault:alert { name = "night", webhook = "https://hooks.example.org/night" }
            vault:remove_alert("night")
            vault:alert { name = "day", webhook = "https://hooks.example.org/day" }
            """, in: .bare,
        .waiting { call in
            try await call.session.engine.removeAlert(named: call.arguments.text("name"))
            return []
        })

    // MARK: Records

    static let records = [record, mailRecord]

    private static let record = RecordDeclaration(
        "alert", "Who is told of what happens.",
        fields: [
            ResultDeclaration("name", .text, "its name"),
            ResultDeclaration("to", .text, "host of the webhook, or the addresses"),
            ResultDeclaration("severity", .choice(severities), "what is less severe is not told"),
            ResultDeclaration("on", .list(.choice(AlertTopic.allCases.map(\.rawValue))), "what is told of"),
            ResultDeclaration("quiet", .number, "for how long the same is not told again", unit: .seconds),
        ])

    private static let mailRecord = RecordDeclaration(
        "alert_email", "Mail through an SMTP server.",
        fields: mailFields.map { ResultDeclaration($0.name, $0.type, $0.doc, optional: !$0.isRequired) })

    private static func value(_ rule: AlertRule) -> LuaValue {
        .table(
            LuaTable([
                "name": LuaValue(rule.name), "to": LuaValue(rule.destination),
                "severity": LuaValue(rule.severity.rawValue), "on": .list(rule.topics.map { LuaValue($0.rawValue) }),
                "quiet": .number(Double(rule.quietSeconds)),
            ]))
    }
}
