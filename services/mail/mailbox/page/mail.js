// Waits for the next mail, and loads the page anew when there is one.
const last = document.querySelector(".mails").dataset.last;

async function follow() {
  for (;;) {
    try {
      const answer = await fetch(`/control/mail?after=${last}&wait=30`);
      if (answer.ok && (await answer.json()).mails.length > 0) {
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error(answer.status);
    } catch {
      await new Promise((again) => setTimeout(again, 2000));
    }
  }
}

follow();
