// What consent asks a resident to do, for the home page: requests that wait for an answer, and agreements that end soon.
import Foundation
import Web

/// Finds the agreements of a resident that end within `ConsentRules.reminderPeriod` and can be renewed.
struct EndingConsents: Sendable {
    let consents: Consents

    /// The one that ends first, first.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await consents.all(of: resident.credential)
            .filter(\.endsSoon)
            .sorted { ($0.held.validUntil ?? .distantFuture) < ($1.held.validUntil ?? .distantFuture) }
            .map { sharing in
                let names = ["purpose": sharing.activity.title.text(context.language), "name": sharing.activity.organisationName.text(context.language)]
                let end = sharing.held.validUntil.map { context.format.dateTime($0) } ?? ""
                return HomeTask(
                    title: context.text("consent.task.ends", names), detail: context.text("consent.task.ends_detail", ["date": end]),
                    path: "/consents/\(sharing.activity.id)")
            }
    }
}

extension Sharing {
    /// Whether its resident is to be asked whether to renew it.
    fileprivate var endsSoon: Bool {
        guard state?.permits == true, held.isRenewable(offer), let end = held.validUntil else { return false }
        return end.timeIntervalSince(askedAt) <= ConsentRules.reminderPeriod
    }
}

/// Finds the requests that wait for a resident's answer, without those that were put off a few days ago.
struct WaitingRequests: Sendable {
    let received: ReceivedRequests

    /// The oldest first.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await received.open(of: resident.credential).filter(\.isDue).map { request in
            HomeTask(
                title: request.title(context), detail: context.text("consent.request.until", ["date": context.format.dateTime(request.expiresAt)]),
                path: request.path)
        }
    }
}
