import LuaHost
import RecoveryEngine
import SiteModel

/// Requests and responses until one does not lead on, each carried by a curl process of its own.
///
/// See docs/decisions/0006-http-through-curl.md. What is sent goes to curl through memory files, so that neither the list of
/// processes nor a disk shows it.
struct HTTPExchange: Sendable {
    /// Begins messages.
    let name: String
    let clock: any EngineClock
    /// Seconds for all of it.
    let timeout: Double
    /// How many redirects are followed.
    let redirects: Int

    /// Bytes of a response's body.
    private static let limit = 4 << 20

    /// Sends the request, follows redirects, and returns the last response with where it came from and what led there.
    func answer(
        to request: HTTPRequest
    ) async throws(LuaError) -> (response: HTTPResponse, url: HTTPAddress, passed: [HTTPAddress]) {
        var request = request
        var passed: [HTTPAddress] = []
        let began = clock.now
        while true {
            let left = timeout - clock.now.seconds(since: began)
            guard left > 0 else { throw error(.timedOut, request) }
            let response = try await send(request, within: left)
            guard redirects > 0, [301, 302, 303, 307, 308].contains(response.status),
                let location = response.headers["location"]
            else { return (response, request.url, passed) }
            guard passed.count < redirects else {
                throw LuaError(
                    "redirects", "\(name): \(request.url.host) leads on, after \(redirects) redirects already",
                    hint: "the server may lead in a circle; else allow more with redirects =")
            }
            let target = try request.url.following(location, for: name)
            guard target.isEncrypted || !request.url.isEncrypted else {
                throw LuaError(
                    "redirects", "\(name): \(request.url.host) leads on from https to http",
                    hint: "if that is meant, ask for the http:// URL itself")
            }
            passed.append(request.url)
            request = request.redirected(by: response.status, to: target)
        }
    }

    private func send(_ request: HTTPRequest, within seconds: Double) async throws(LuaError) -> HTTPResponse {
        let result: ProgramResult
        do {
            let body: MemoryFile? = if let bytes = request.body { try MemoryFile(bytes) } else { nil }
            let configuration = request.configuration(bodyPath: body?.path, limit: Self.limit)
            result = try await ProgramRun(
                arguments: ["curl", "--disable", "--config", "-"],
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"], folder: "/",
                input: Array(configuration.utf8), outputLimit: Self.limit, endsAtLimit: true, timeout: seconds,
                clock: clock
            ).result()
            withExtendedLifetime(body) {}
        } catch { throw self.error(error, request) }
        guard result.status == 0 else { throw error(curl: result.status ?? -1, request) }
        guard
            let response = HTTPResponse(
                head: result.errors.bytes, body: request.method == "HEAD" ? [] : result.output.bytes)
        else { throw error(curl: 1, request) }
        return response
    }

    // MARK: Errors: they show host and port, and nothing of path, query, headers or body

    private func error(_ failure: ProgramFailure, _ request: HTTPRequest) -> LuaError {
        let host = request.url.host
        return switch failure {
        case .timedOut:
            LuaError(
                .timeout, "\(name): \(host) did not answer in time", hint: "give it more with timeout =",
                retryable: true)
        case .tooMuchOutput:
            LuaError(
                .size, "\(name): \(host) answers with more than \(Self.limit >> 20) MiB",
                hint: "fetch large files with exec and a program made for it")
        case .cancelled: LuaError(.cancelled, "\(name): the task was cancelled")
        case .notFound:
            LuaError("not-found", "\(name): curl is not installed", hint: "install the package curl")
        case .noFolder, .cannotStart:
            LuaError(
                "failed", "\(name): curl could not be started", hint: "check that /usr/bin/curl runs", retryable: true)
        }
    }

    /// What curl's exit status means; see "EXIT CODES" in curl(1).
    private func error(curl status: Int, _ request: HTTPRequest) -> LuaError {
        let host = request.url.host
        switch status {
        case 5, 6:
            return LuaError(
                "unreachable", "\(name): the name of \(host) cannot be resolved",
                hint: "check the name and the resolver",
                retryable: true)
        case 7:
            return LuaError(
                "unreachable", "\(name): \(host) does not answer",
                hint: "check that the server runs and can be reached",
                retryable: true)
        case 18, 52, 55, 56, 92, 95:
            return LuaError(
                "unreachable", "\(name): \(host) broke the connection off", hint: "look at the server's log",
                retryable: true)
        case 28: return error(.timedOut, request)
        case 35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91:
            return LuaError(
                "tls", "\(name): no encrypted connection with \(host), or it does not prove who it is (curl \(status))",
                hint: "check the server's certificate, and that this machine trusts who signed it")
        case 63: return error(.tooMuchOutput, request)
        case 1, 8, 16, 61:
            return LuaError("protocol", "\(name): what \(host) answers is not HTTP", hint: "check the port")
        default:
            return LuaError(
                "failed", "\(name): the request to \(host) failed (curl \(status))",
                hint: "\"EXIT CODES\" in curl(1) says what it means")
        }
    }
}
