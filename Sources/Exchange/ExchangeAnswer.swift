// What an organisation receives: of one resident, or of each on a list.
import AccessLog
import Foundation
import Hummingbird
import Logging
import Primitives
import Register
import Web

/// What was asked for, in that order, null where the city holds nothing, and the id of the access entry.
func exchangeAnswer(to question: ExchangeQuestion, _ record: OpenedRecord) -> JSONValue {
    .object([
        JSONMember("attributes", exchangeValues(question, record)), JSONMember("access_entry", .string(record.entryID.description)),
    ])
}

/// Subjects whose values are opened before others get their turn: about a millisecond of one core.
private let subjectsPerTurn = 64

/// One item for each subject, in the order of the question: its attributes, or why it has none.
/// - Parameter answers: the door's, one for each of `accesses`.
func exchangeList(
    _ body: ExchangeListBody, _ accesses: [AccessRequest], _ answers: [Result<ReleasedRecord, any Error>], _ context: some PageContext,
    open: (ReleasedRecord) throws -> OpenedRecord
) async -> JSONValue {
    var items: [JSONValue] = []
    items.reserveCapacity(answers.count)
    for (position, answer) in answers.enumerated() {
        if position > 0, position.isMultiple(of: subjectsPerTurn) { await Task.yield() }
        let outcome: JSONMember
        do {
            outcome = JSONMember("attributes", exchangeValues(body.question, try open(try answer.get())))
        } catch {
            outcome = JSONMember("refused", refusal(error, body.question, context))
        }
        items.append(
            .object([
                JSONMember("subject", .string(body.subjects[position].text)),
                JSONMember("access_entry", .string(accesses[position].id.description)), outcome,
            ]))
    }
    return .object([JSONMember("items", .array(items))])
}

private func exchangeValues(_ question: ExchangeQuestion, _ record: OpenedRecord) -> JSONValue {
    .object(
        question.attributes.map { name in
            let attribute = Attribute(rawValue: name)
            if attribute.derivation != nil { return JSONMember(name, record.answers[attribute].map { .bool($0) } ?? .null) }
            return JSONMember(name, record.value(attribute).map { .string($0) } ?? .null)
        })
}

/// Why one subject of a list has no attributes. A value that cannot be opened is nobody's fault but ours, and concerns this subject alone.
private func refusal(_ error: any Error, _ question: ExchangeQuestion, _ context: some PageContext) -> JSONValue {
    guard let refused = error as? RefusedAccess else {
        context.logger.error("a permitted value of a list was not released", metadata: ["error": "\(error)"])
        return ["type": .string(context.problemType(.internalError)), "missing": []]
    }
    return [
        "type": .string(context.problemType(refused.problem(for: question))), "missing": .array(refused.missing.map { .string($0) }),
    ]
}
