import Foundation
import Glibc
import LuaHost
import RecoveryEngine

/// `exec`: a program on the machine that runs the script.
enum ExecFunction {
    static let exec = FunctionDeclaration(
        "exec",
        "Runs a program with its arguments, with no shell between, and returns what came of it. Runs need --grant exec.",
        positional: [
            .required("command", .record("command"), "the program and its arguments in order, and options by name")
        ],
        results: [ResultDeclaration("result", .record("exec_result"), "how it ended and what it said")],
        errors: [
            ErrorDeclaration("not-granted", "the run has no --grant exec"),
            ErrorDeclaration("not-found", "there is no such program, or no such folder to run it in"),
            ErrorDeclaration("timeout", "it took longer; it was ended, with what it had started"),
            ErrorDeclaration("failed", "with check, it ended with a status other than 0; e.value is the result"),
        ],
        effect: .cannotBeUndone, ifCutOff: .unknown,
        example: "local kernel = exec { \"uname\", \"-r\", timeout = \"5min\", check = true }.stdout",
        in: .bare,
        .waiting { call in
            let command = try Command(call)
            let result = try await command.run(call)
            let value = Self.table(result)
            if command.isChecked, result.status != 0 { throw command.failure(result, value, call.name) }
            return [value]
        })

    /// Nothing of what the operator's shell happens to hold.
    static let environment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
        "HOME": NSHomeDirectory(),
    ]

    /// Bytes kept of each output.
    private static let outputLimit = 1 << 20

    private static let options: [Parameter] = [
        .optional("timeout", .duration, "how long it may take", default: "1min", range: 0.001...86_400),
        .optional("input", .any, "text for its standard input", otherwise: "empty"),
        .optional(
            "env", .map(.text), "variables beside PATH, HOME and LC_ALL, the only ones it has", otherwise: "none"),
        .optional("cwd", .text, "its working directory", otherwise: "that of perilune"),
        .optional("check", .boolean, "raise an error when it fails", default: false),
    ]

    /// The options as a declaration, so that they are checked as every function's are.
    private static let optionChecks = FunctionDeclaration(
        "exec", "Checks options.", named: options, effect: .none, example: "exec {}", .host)

    static let command = RecordDeclaration(
        "command",
        "What exec runs: the program and its arguments as a list, each a text or an integer, and beside them, by name:",
        fields: options.map { option in
            let otherwise = option.defaultValue.map { ArgumentDecoder.shown($0) } ?? option.otherwise
            return ResultDeclaration(
                option.name, option.type, option.doc + (otherwise.map { "; left out, \($0)" } ?? ""),
                unit: option.unit, optional: true)
        })

    static let result = RecordDeclaration(
        "exec_result", "What came of a program.",
        fields: [
            ResultDeclaration(
                "status", .integer, "its exit status, if no signal ended it", unit: .ordinal, optional: true),
            ResultDeclaration("signal", .integer, "the signal that ended it", unit: .ordinal, optional: true),
            ResultDeclaration("stdout", .text, "what it wrote there, at most 1 MiB"),
            ResultDeclaration("stderr", .text, "what it wrote there, at most 1 MiB"),
            ResultDeclaration("stdout_cut", .boolean, "whether it wrote more there than is kept"),
            ResultDeclaration("stderr_cut", .boolean, "whether it wrote more there than is kept"),
        ])

    private static func table(_ result: ProgramResult) -> LuaValue {
        .table(
            LuaTable([
                "status": result.status.map { LuaValue($0) } ?? .nil,
                "signal": result.signal.map { LuaValue($0) } ?? .nil,
                "stdout": .string(LuaString(bytes: result.output.bytes)),
                "stderr": .string(LuaString(bytes: result.errors.bytes)),
                "stdout_cut": .boolean(result.output.isCut), "stderr_cut": .boolean(result.errors.isCut),
            ]))
    }

    /// A command as the script said it, checked.
    private struct Command {
        let words: [String]
        let environment: [String: String]
        let folder: String?
        let input: [UInt8]
        let timeout: Double
        let isChecked: Bool

        init(_ call: Call) throws(LuaError) {
            let table = call.arguments["command"]?.table ?? LuaTable()
            words = try Self.words(table.array, call.name)
            var named = table
            named.array = []
            let options = try ArgumentDecoder(function: call.context.function, declaration: optionChecks)
                .decode([.table(named)], receiver: nil)
            input = try Self.bytes(options["input"], call.name)
            folder = options.optionalText("cwd")
            var environment = ExecFunction.environment
            for (name, value) in options.textsByName("env") ?? [:] {
                guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                    throw LuaError(
                        .argument, "\(call.name): 'env' has a variable that no environment can hold",
                        hint: "a name without '=', and no zero bytes in names and values")
                }
                environment[name] = value
            }
            self.environment = environment
            if let folder, folder.isEmpty || folder.utf8.contains(0) {
                throw LuaError(.argument, "\(call.name): 'cwd' must be the path of a folder")
            }
            timeout = options.number("timeout")
            isChecked = options.optionalBoolean("check") ?? false
        }

        private static func words(_ values: [LuaValue], _ name: String) throws(LuaError) -> [String] {
            var words: [String] = []
            for (index, value) in values.enumerated() {
                let text: String? = if case .integer(let number) = value { "\(number)" } else { value.text }
                guard let text, !text.utf8.contains(0) else {
                    throw LuaError(
                        .argument,
                        "\(name): word \(index + 1) of the command must be text without zero bytes, "
                            + "or an integer")
                }
                words.append(text)
            }
            guard words.first?.isEmpty == false else {
                throw LuaError(
                    .argument, "\(name): the command is empty",
                    hint: "name the program first: exec { \"uname\", \"-r\" }")
            }
            return words
        }

        private static func bytes(_ value: LuaValue?, _ name: String) throws(LuaError) -> [UInt8] {
            switch value {
            case nil: return []
            case .string(let text)?: return text.bytes
            case let value?:
                throw LuaError(.argument, "\(name): 'input' must be text, got \(ArgumentDecoder.shown(value))")
            }
        }

        func run(_ call: Call) async throws(LuaError) -> ProgramResult {
            let run = ProgramRun(
                arguments: words, environment: environment, folder: folder, input: input, outputLimit: outputLimit,
                timeout: timeout, clock: call.session.engine.dependencies.clock)
            do { return try await run.result() } catch { throw self.error(error, call.name) }
        }

        /// Names the program alone: its arguments may hold what no log should.
        private func error(_ failure: ProgramFailure, _ name: String) -> LuaError {
            switch failure {
            case .notFound where words[0].hasPrefix("/") && access(words[0], F_OK) == 0:
                LuaError("failed", "\(name): '\(words[0])' is no program that may be run", hint: "check its rights")
            case .notFound:
                LuaError(
                    "not-found", "\(name): there is no program '\(words[0])'",
                    hint: "install it, or name it by its path")
            case .noFolder:
                LuaError(
                    "not-found", "\(name): '\(words[0])' cannot run in '\(folder ?? "")'",
                    hint: "'cwd' takes a folder that exists")
            case .cannotStart(let reason):
                LuaError("failed", "\(name): '\(words[0])' could not be started: \(reason)", hint: "check its rights")
            case .timedOut, .tooMuchOutput:
                LuaError(
                    .timeout, "\(name): '\(words[0])' did not end within \(Self.shown(timeout)) and was ended",
                    hint: "give it more with timeout =", retryable: true)
            case .cancelled:
                LuaError(.cancelled, "\(name): the task was cancelled, and '\(words[0])' was ended")
            }
        }

        func failure(_ result: ProgramResult, _ value: LuaValue, _ name: String) -> LuaError {
            let end = result.status.map { "ended with status \($0)" } ?? "was ended by signal \(result.signal ?? 0)"
            let last =
                String(decoding: result.errors.bytes.suffix(2000), as: UTF8.self)
                .split(whereSeparator: \.isNewline).last.map { ": \($0.suffix(200))" } ?? ""
            var error = LuaError(
                "failed", "\(name): '\(words[0])' \(end)\(last)", hint: "e.value holds all that it said")
            error.value = value
            return error
        }

        private static func shown(_ seconds: Double) -> String {
            Int64(exactly: seconds).map { "\($0) s" } ?? "\(seconds) s"
        }
    }
}
