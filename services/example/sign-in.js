// The product's own script: it has the device prove its key, and follows the challenge.
const { Latchkey } = await import(`${document.querySelector("#latchkey").dataset.latchkey}/latchkey.js`);
const latchkey = new Latchkey();

const signIn = document.querySelector("#sign-in");
signIn?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    signIn.proof.value = (await latchkey.prove(signIn.user.value, signIn.action)).proof;
    signIn.submit();
  } catch (error) {
    document.querySelector("[role=status]").textContent = error.message;
  }
});

const form = document.querySelector("#code");
if (form) {
  const status = document.querySelector("#status"); // of the text, which goes on while codes are typed
  const said = document.querySelector("#said"); // of what was typed
  const challenge = latchkey.challenge(form.dataset.challenge);
  let left = false;
  const leave = () => {
    if (!left) form.submit();
    left = true;
  };
  challenge.follow((state) => {
    if (state.status === "registered") leave();
    else status.textContent = `Your text is ${state.status.replace("_", " ")}; the number ends in ${state.last_two}.`;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await challenge.enterCode(form.typed.value);
      if (answer.result === "registered") leave();
      if (answer.result === "rejected") said.textContent = `That is not the code. ${answer.tries_left} tries are left.`;
    } catch (error) {
      said.textContent = error.message;
    }
    form.typed.select();
  });
}
