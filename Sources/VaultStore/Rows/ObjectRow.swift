internal import Foundation
internal import SiteModel

/// An object as both vaults keep it: its JSON document, and beside it what is searched for.
struct ObjectRow {
    var kind: String
    var id: String
    /// The name as it is compared.
    var name: String
    /// Empty for an object at the top.
    var parent: String
    var sortKey: String
    /// Start of a job that has not ended, in milliseconds; nil for everything else.
    var openSince: Int64?
    var revision: Int
    var body: Body
}

/// What is kept of a value: its document, or the value itself where nothing outlives the process.
enum Body {
    case document(Data)
    case value(any Sendable)

    /// The document; empty where the value is kept.
    var data: Data { if case .document(let data) = self { data } else { Data() } }
}

/// What reading needs of a row.
struct Document {
    var id: String
    var revision: Int
    var body: Body
}

/// A lease as both vaults keep it.
///
/// A lease that was given up stays as a row without holder, so that its epoch keeps rising.
struct LeaseRow {
    var name: String
    var holder: String?
    var epoch: Int
    var expiresAt: Timestamp
}

/// Turns values into documents and back.
///
/// Two vaults that share it cannot differ in what they keep.
enum Codec {
    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }()

    private static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }()

    static func row<Object: SiteObject>(
        _ object: Object, revision: Int, keepingValue: Bool
    ) throws -> ObjectRow {
        let job = object as? Job
        return ObjectRow(
            kind: Object.kind, id: object.id, name: SortKey.canonical(object.name), parent: object.parent ?? "",
            sortKey: SortKey.key(object.name),
            openSince: job.flatMap { $0.state.isOpen ? $0.startedAt.milliseconds : nil },
            revision: revision, body: keepingValue ? .value(object) : .document(try encoder.encode(object)))
    }

    static func object<Object: SiteObject>(_ type: Object.Type, from document: Document) throws -> Stored<Object> {
        if case .value(let value) = document.body, let object = value as? Object {
            return Stored(value: object, revision: document.revision)
        }
        do {
            return Stored(value: try decoder.decode(type, from: document.body.data), revision: document.revision)
        } catch {
            throw damaged("the \(Object.kind) \(document.id)", error)
        }
    }

    static func body(of event: Event, keepingValue: Bool) throws -> Body {
        keepingValue ? .value(event) : .document(try encoder.encode(event))
    }

    static func event(from body: Body) throws -> Event {
        if case .value(let value) = body, let event = value as? Event { return event }
        do {
            return try decoder.decode(Event.self, from: body.data)
        } catch {
            throw damaged("an event", error)
        }
    }

    private static func damaged(_ what: String, _ cause: any Error) -> VaultError {
        VaultError(
            .corrupt, "The vault's record of \(what) cannot be read.",
            hint: VaultFile.keepAndRestore,
            cause: cause)
    }
}
