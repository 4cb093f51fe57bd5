import Subprocess

/// What a finished program left behind.
struct CommandResult: Sendable {
    let succeeded: Bool
    let output: String
    let errors: String
}

/// One run of a program, by its argument vector; no shell reads it.
struct Command: Sendable {
    let arguments: [String]
    var limit: Duration = .seconds(30)

    init(_ arguments: [String], limit: Duration = .seconds(30)) {
        self.arguments = arguments
        self.limit = limit
    }

    /// Runs the program with a fixed environment, and kills it at the limit.
    ///
    /// - Returns: Its output whether it succeeded or not, at most 1 MiB of each stream.
    /// - Throws: `missing` when there is no such program, `timedOut`, `cancelled` or `commandFailed`.
    func result() async throws(LabError) -> CommandResult {
        let words = arguments, limit = limit
        do {
            return try await withThrowingTaskGroup(of: CommandResult?.self) { group in
                group.addTask { try await Self.run(words) }
                group.addTask {
                    try await Task.sleep(for: limit)
                    return nil
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let result = first else {
                    throw LabError(.timedOut, "`\(words.joined(separator: " "))` did not end within \(limit).")
                }
                return result
            }
        } catch let error as LabError {
            throw error
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw LabError(.missing, "\(words[0]) is not installed.", hint: "run scripts/setup", cause: error)
        } catch is CancellationError {
            throw LabError(.cancelled, "`\(words[0])` was cancelled.")
        } catch {
            throw LabError(.commandFailed, "`\(words.joined(separator: " "))` could not be run.", cause: error)
        }
    }

    /// Runs the program and returns its standard output.
    ///
    /// - Throws: As `result()`, and `commandFailed` with the program's own words when it fails.
    @discardableResult
    func output(hint: String? = nil) async throws(LabError) -> String {
        let result = try await result()
        guard result.succeeded else {
            let words = result.errors.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw LabError(.commandFailed, "`\(arguments.joined(separator: " "))` failed: \(words)", hint: hint)
        }
        return result.output
    }

    /// The environment of everything the lab starts: messages in one language, nothing from the operator's shell.
    private static let environment = Environment.custom([
        "PATH": Requirements.path, "LC_ALL": "C.UTF-8", "HOME": "/root",
    ])

    private static func run(_ words: [String]) async throws -> CommandResult {
        let result = try await Subprocess.run(
            .name(words[0]), arguments: Arguments(Array(words.dropFirst())), environment: environment,
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        return CommandResult(
            succeeded: result.terminationStatus.isSuccess, output: result.standardOutput, errors: result.standardError)
    }
}
