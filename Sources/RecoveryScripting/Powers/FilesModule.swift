import Dispatch
import Glibc
import LuaHost

/// `files`: files beneath the folders that were granted.
enum FilesModule {
    static let module = ModuleDeclaration(
        "files",
        "Files beneath granted folders. A path that is not absolute begins at the first. Runs need --grant files=FOLDER, or "
            + "--grant files to read in the script's own folder.",
        power: .files, functions: [read, write, append, list, remove, exists])

    private static let path = Parameter.required("path", .text, "the file, beneath a granted folder")
    private static let text = Parameter.required("text", .any, "what to write, any bytes")
    private static let notGranted = ErrorDeclaration("not-granted", "the path leads out of what the run was granted")
    private static let notFound = ErrorDeclaration("not-found", "there is none")
    private static let failed = ErrorDeclaration("failed", "the system refuses; the message says why")

    static let read = FunctionDeclaration(
        "read", "Reads a file of at most 64 MiB.", positional: [path],
        results: [ResultDeclaration("text", .text, "all of it, any bytes")],
        errors: [notGranted, notFound, ErrorDeclaration("size", "it has more than 64 MiB"), failed], effect: .reads,
        example: "if files.exists(\"notes.txt\") then print(files.read(\"notes.txt\")) end", in: .bare,
        .waiting { call in [.string(LuaString(bytes: try await work(call) { try $0.read() }))] })

    static let write = FunctionDeclaration(
        "write",
        "Writes a file, in the place of one that is there: all of it, or nothing. A new one is for its owner alone.",
        positional: [path, text], errors: [notGranted, notFound, failed], effect: .cannotBeUndone,
        example: "files.write(\"notes.txt\", \"site a is lost\\n\")", in: .bare,
        .waiting { call in
            let bytes = try bytes(call)
            try await work(call, writes: true) { try $0.write(bytes) }
            return []
        })

    static let append = FunctionDeclaration(
        "append", "Adds to the end of a file, which it makes if there is none.", positional: [path, text],
        errors: [notGranted, notFound, failed], effect: .cannotBeUndone, ifCutOff: .unknown,
        example: "files.append(\"notes.txt\", \"site b took over\\n\")", in: .bare,
        .waiting { call in
            let bytes = try bytes(call)
            try await work(call, writes: true) { try $0.append(bytes) }
            return []
        })

    static let list = FunctionDeclaration(
        "list", "Lists what a folder holds, by name.",
        positional: [.optional("path", .text, "the folder", default: ".")],
        results: [ResultDeclaration("entries", .list(.record("file_entry")), "what it holds, at most 100,000")],
        errors: [notGranted, notFound, failed], effect: .reads,
        example: "for _, entry in ipairs(files.list()) do print(entry.kind, entry.size, entry.name) end", in: .bare,
        .waiting { call in
            let entries = try await work(call) { try $0.list() }
            return [
                .list(
                    entries.map { entry in
                        .table(
                            LuaTable([
                                "name": .string(LuaString(bytes: entry.name)), "kind": LuaValue(entry.kind),
                                "size": .integer(entry.size),
                            ]))
                    })
            ]
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes a file, an empty folder or a link; never what a link names.", positional: [path],
        errors: [notGranted, notFound, failed], effect: .cannotBeUndone, ifCutOff: .removal,
        example: "if files.exists(\"notes.txt\") then files.remove(\"notes.txt\") end", in: .bare,
        .waiting { call in
            try await work(call, writes: true) { try $0.remove() }
            return []
        })

    static let exists = FunctionDeclaration(
        "exists", "Says whether there is a file or folder.", positional: [path],
        results: [ResultDeclaration("there", .boolean, "whether there is one")], errors: [notGranted, failed],
        effect: .reads, example: "print(files.exists(\"notes.txt\"))", in: .bare,
        .waiting { call in [.boolean(try await work(call) { try $0.exists() })] })

    static let entry = RecordDeclaration(
        "file_entry", "One entry of a folder.",
        fields: [
            ResultDeclaration("name", .text, "its name"),
            ResultDeclaration("kind", .choice(["file", "folder", "link", "other"]), "what it is"),
            ResultDeclaration("size", .integer, "how large it is", unit: .bytes),
        ])

    // MARK: From a path to the work

    private static func bytes(_ call: Call) throws(LuaError) -> [UInt8] {
        guard case .string(let text)? = call.arguments["text"] else {
            throw LuaError(
                .argument,
                "\(call.name): 'text' must be text, got \(ArgumentDecoder.shown(call.arguments["text"] ?? .nil))")
        }
        return text.bytes
    }

    /// Does the work on a thread that may block.
    private static func work<Value: Sendable>(
        _ call: Call, writes: Bool = false, _ body: @escaping @Sendable (FileWork) throws -> Value
    ) async throws(LuaError) -> Value {
        let path = call.arguments.text("path")
        let work = try place(path, call)
        guard !writes || work.folder.isWritable else {
            throw LuaError(
                .notGranted, "\(call.name): '\(path)' lies in a folder that may only be read",
                hint: "run it with --grant files=\(work.folder.path)")
        }
        let outcome = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: Result { try body(work) })
            }
        }
        do { return try outcome.get() } catch let failure as FileFailure {
            throw error(failure, path, call.name)
        } catch {
            throw LuaError(.host, "\(error)")
        }
    }

    /// The granted folder that a path lies in by what it says; the walk sees to it that it is so.
    private static func place(_ path: String, _ call: Call) throws(LuaError) -> FileWork {
        guard !path.isEmpty, path.utf8.count <= 4096, !path.utf8.contains(0) else {
            throw LuaError(.argument, "\(call.name): 'path' must be 1 to 4096 bytes long and hold no zero byte")
        }
        let folders = call.session.folders
        if !path.hasPrefix("/"), let first = folders.first { return FileWork(folder: first, path: path[...]) }
        let around = folders.filter { path == $0.path || path.hasPrefix($0.path == "/" ? "/" : $0.path + "/") }
        guard let folder = around.max(by: { $0.path.count < $1.path.count }) else {
            throw LuaError(
                .notGranted, "\(call.name): '\(path)' lies in no folder that was granted to this run",
                hint: "run it with \(Power.files.flag)")
        }
        return FileWork(folder: folder, path: path.dropFirst(folder.path.count))
    }

    private static func error(_ failure: FileFailure, _ path: String, _ name: String) -> LuaError {
        switch failure {
        case .leadsOut:
            LuaError(
                .notGranted, "\(name): '\(path)' leads out of the folder that was granted",
                hint: "grant where it leads to with \(Power.files.flag), and name it by that path")
        case .notRegular:
            LuaError("failed", "\(name): '\(path)' is no plain file", hint: "files.list says what it is")
        case .tooLarge:
            LuaError(.size, "\(name): '\(path)' is larger than a script may take in", hint: "use a program with exec")
        case .system(ENOENT):
            LuaError("not-found", "\(name): there is no '\(path)'", hint: "files.list shows what a folder holds")
        case .system(ELOOP):
            LuaError(.notGranted, "\(name): '\(path)' leads through too many links", hint: "name the file itself")
        case .system(let code):
            LuaError("failed", "\(name): '\(path)': \(String(cString: strerror(code)))", hint: "check its rights")
        }
    }
}
