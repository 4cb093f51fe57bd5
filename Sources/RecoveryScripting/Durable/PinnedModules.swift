import Foundation
import LuaHost
import Synchronization

/// Gives a run the modules that it has had from its beginning, whatever becomes of their files.
///
/// What the script and its modules name in `require "..."` is read when the run begins; a name that is made up while the script
/// runs is read when it is asked for, once.
final class PinnedModules: ModuleResolver {
    private let files: any ModuleResolver
    private let known: Mutex<[String: Result<ModuleSource, LuaError>]>
    private let onFirst: @Sendable (JournalEntry) -> Void

    /// - Parameter onFirst: is told of each module that was not known before.
    init(
        _ known: [String: Result<ModuleSource, LuaError>], files: any ModuleResolver,
        onFirst: @escaping @Sendable (JournalEntry) -> Void
    ) {
        self.known = Mutex(known)
        self.files = files
        self.onFirst = onFirst
    }

    func module(named name: String) throws -> ModuleSource? {
        if let found = known.withLock({ $0[name] }) { return try found.get() }
        do {
            guard let module = try files.module(named: name) else { return nil }
            known.withLock { $0[name] = .success(module) }
            onFirst(
                .module(
                    name: name, chunk: module.chunk,
                    source: JournalValue(.string(LuaString(bytes: module.source))), isForeign: module.isForeign))
            return module
        } catch let error as LuaError {
            known.withLock { $0[name] = .failure(error) }
            onFirst(.noModule(name: name, error: JournalError(error)))
            throw error
        }
    }

    /// Reads all that a text requires by name, and what those require.
    func pin(requiredBy text: String) {
        var texts = [text]
        var seen: Set<String> = []
        while let text = texts.popLast() {
            for match in text.matches(of: /require\s*\(?\s*["']([A-Za-z0-9_.\-]+)["']/) {
                let name = String(match.1)
                guard seen.insert(name).inserted, let module = try? module(named: name) else { continue }
                texts.append(String(decoding: module.source, as: UTF8.self))
            }
        }
    }
}
