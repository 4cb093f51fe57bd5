import LuaHost
import RecoveryEngine

/// `http`: requests to web servers.
enum HTTPModule {
    static let module = ModuleDeclaration(
        "http",
        "Requests to web servers. Any answer is a value, whatever its status; none is an error. Runs need --grant http.",
        power: .http, functions: [get, post, request])

    private static let url = Parameter.required("url", .text, "where to, http:// or https://")
    private static let body = Parameter.optional("body", .any, "text to send", otherwise: "nothing is sent")
    private static let common: [Parameter] = [
        .optional(
            "headers", .map(.text), "headers of the request, which no other host is sent on a redirect",
            otherwise: "none"),
        .optional(
            "timeout", .duration, "how long it may take, with all redirects", default: "30s", range: 0.001...3600),
        .optional(
            "redirects", .integer, "how many are followed; with 0 the redirect itself is the response", default: 5,
            unit: .count, range: 0...20),
    ]
    private static let results = [ResultDeclaration("response", .record("http_response"), "the response")]
    private static let errors = [
        ErrorDeclaration("not-granted", "the run has no --grant http"),
        ErrorDeclaration("unreachable", "nobody answers, or the connection breaks off; e.retryable"),
        ErrorDeclaration("timeout", "it took longer; e.retryable"),
        ErrorDeclaration("tls", "the server does not prove who it is, or no encryption comes about"),
        ErrorDeclaration("size", "the response has more than 4 MiB"),
        ErrorDeclaration("redirects", "it is led on more often than allowed, or from https to http"),
        ErrorDeclaration("protocol", "what answers does not speak HTTP"),
    ]

    static let get = FunctionDeclaration(
        "get", "Gets what is at a URL.", named: [url] + common, lookup: url, results: results, errors: errors,
        effect: .reads, example: "local up = pcall(http.get, \"http://127.0.0.1:8080/health\")", in: .bare,
        .waiting { try await answer($0, method: "GET") })

    static let post = FunctionDeclaration(
        "post", "Sends text to a URL.", named: [url, body] + common, results: results, errors: errors,
        effect: .cannotBeUndone, ifCutOff: .unknown,
        example: """
            local told = pcall(http.post, {
              url = "http://127.0.0.1:8080/hook", headers = { ["content-type"] = "application/json" }, body = '{"vm":"orders"}',
            })
            """,
        in: .bare, .waiting { try await answer($0, method: "POST") })

    static let request = FunctionDeclaration(
        "request", "Sends a request with any method to a URL.",
        named: [.required("method", .text, "such as \"PUT\"; capital letters"), url, body] + common, results: results,
        errors: errors, effect: .cannotBeUndone, ifCutOff: .unknown,
        example: "local gone = pcall(http.request, { method = \"DELETE\", url = \"http://127.0.0.1:8080/lock\" })",
        in: .bare,
        .waiting { call in
            let method = call.arguments.text("method")
            guard method.wholeMatch(of: /[A-Z]{1,20}/) != nil, !["CONNECT", "TRACE"].contains(method) else {
                throw LuaError(
                    .argument, "\(call.name): 'method' must be one of HTTP's in capital letters, such as \"PUT\"",
                    hint: "CONNECT and TRACE are not for scripts")
            }
            return try await answer(call, method: method)
        })

    static let response = RecordDeclaration(
        "http_response", "What a web server answered.",
        fields: [
            ResultDeclaration("status", .integer, "the status, such as 200", unit: .ordinal),
            ResultDeclaration("headers", .map(.text), "by name in small letters; repeated ones with commas between"),
            ResultDeclaration("body", .text, "what came, any bytes"),
            ResultDeclaration("url", .text, "where it came from in the end"),
            ResultDeclaration("redirects", .list(.text), "the URLs that led on, in order"),
        ])

    private static func answer(_ call: Call, method: String) async throws(LuaError) -> [LuaValue] {
        let arguments = call.arguments
        let exchange = HTTPExchange(
            name: call.name, clock: call.session.engine.dependencies.clock,
            timeout: arguments.optionalNumber("timeout") ?? 30, redirects: arguments.optionalInteger("redirects") ?? 5)
        let request = try HTTPRequest(
            method: method, url: HTTPAddress(arguments.text("url"), for: call.name),
            headers: arguments.textsByName("headers") ?? [:], body: body(arguments["body"], call.name), for: call.name)
        let (response, url, passed) = try await exchange.answer(to: request)
        var headers = LuaTable()
        for (name, value) in response.headers.sorted(by: { $0.key < $1.key }) { headers[name] = LuaValue(value) }
        return [
            .table(
                LuaTable([
                    "status": LuaValue(response.status), "headers": .table(headers),
                    "body": .string(LuaString(bytes: response.body)), "url": LuaValue(url.text),
                    "redirects": .list(passed.map { LuaValue($0.text) }),
                ]))
        ]
    }

    private static func body(_ value: LuaValue?, _ name: String) throws(LuaError) -> [UInt8]? {
        switch value {
        case nil: return nil
        case .string(let text)?: return text.bytes
        case let value?: throw LuaError(.argument, "\(name): 'body' must be text, got \(ArgumentDecoder.shown(value))")
        }
    }
}
